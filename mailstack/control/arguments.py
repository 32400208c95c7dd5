"""What an admin wrote, as values."""

from typing import Any

from mailstack.config import size as parse_size
from mailstack.message.address import Address, normalise_domain, parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.store.users.passwords import LONGEST

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


def read_password(text: str) -> str:
    """Refuse one that nobody could log in with."""
    if not text:
        raise OperationProblem("a password or a hash is needed")
    if len(text) > LONGEST or "\0" in text:
        raise OperationProblem(f"a password has at most {LONGEST} characters, and no NUL")
    return text
