"""What an admin wrote, as values."""

import datetime
from typing import Any

from mailstack.config import duration as parse_duration
from mailstack.config import size as parse_size
from mailstack.message.address import Address, normalise_domain, parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.store.users.passwords import LONGEST

LABEL_LIMIT = 100
Arguments = dict[str, Any]


class OperationProblem(Exception):
    """An operation that can't be done; the text is for the admin."""


def read_address(text: str) -> Address:
    try:
        return parse_address(text)
    except SyntaxProblem as problem:
        raise OperationProblem(f"{text!r} is not an address: {problem.reason}") from None


def read_domain(text: str) -> str:
    try:
        return normalise_domain(text)
    except SyntaxProblem as problem:
        raise OperationProblem(f"{text!r} is not a domain: {problem.reason}") from None


def read_quota(text: str | None) -> int | None:
    if text in (None, "", "none"):
        return None
    try:
        return parse_size(str(text))
    except ValueError as problem:
        raise OperationProblem(str(problem)) from None


def read_duration(text: str) -> float:
    """Seconds."""
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise OperationProblem(str(problem)) from None


def read_moment(text: str | None, now: float) -> float | None:
    """ "90d" from now on, or "2027-01-31", whose day is the last one (UTC); "" and "never" are None."""
    if text in (None, "", "never"):
        return None
    try:
        day = datetime.datetime.strptime(str(text), "%Y-%m-%d").replace(tzinfo=datetime.UTC)
    except ValueError:
        try:
            return now + parse_duration(str(text))
        except ValueError:
            raise OperationProblem(f"{text!r} is not a duration like 90d, and not a day like 2027-01-31") from None
    moment = (day + datetime.timedelta(days=1)).timestamp()
    if moment <= now:
        raise OperationProblem(f"{text} is over")
    return moment


def read_label(text: str) -> str:
    """A name for a device, as a listing shows it."""
    if not text or len(text) > LABEL_LIMIT or not text.isprintable():
        raise OperationProblem(f"a label has 1 to {LABEL_LIMIT} printable characters")
    return text


def read_password(text: str) -> str:
    """Refuse one that nobody could log in with."""
    if not text:
        raise OperationProblem("a password or a hash is needed")
    if len(text) > LONGEST or "\0" in text:
        raise OperationProblem(f"a password has at most {LONGEST} characters, and no NUL")
    return text
