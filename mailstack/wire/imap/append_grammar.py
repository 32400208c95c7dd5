"""APPEND and REPLACE (RFC 9051 6.3.12, RFC 3502, RFC 4469, RFC 8508)."""

import calendar
import datetime
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import sequence
from mailstack.wire.imap.catenate import CatText, CatUrl
from mailstack.wire.imap.scanner import Scanner

_FLAG = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_DATE_TIME = re.compile(
    rb'" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_ONE = re.compile(rb"[0-9]+(?= )|\*(?= )")
_MONTHS: Final = MappingProxyType({name.upper(): number for number, name in enumerate(calendar.month_abbr) if name})


def date_time(scanner: Scanner) -> float:
    found = scanner.take(_DATE_TIME, "date-time")
    month = _MONTHS.get(found[2].decode("ascii").upper())
    if month is None:
        raise SyntaxProblem("no such month")
    minutes = int(found[8]) * 60 + int(found[9])
    zone = datetime.timezone(datetime.timedelta(minutes=-minutes if found[7] == b"-" else minutes)) if minutes < 1440 else None
    if zone is None:
        raise SyntaxProblem("no such time zone")
    try:
        moment = datetime.datetime(
            int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), min(59, int(found[6])), tzinfo=zone
        )
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise SyntaxProblem("no such date") from None


def flag_list(scanner: Scanner) -> tuple[str, ...]:
    """`(\\Seen keyword)`, or bare flags as STORE allows them."""
    flags: list[str] = []
    if scanner.skip(b"("):
        while not scanner.skip(b")"):
            scanner.skip(b" ")
            if scanner.skip(b")"):
                break
            flags.append(scanner.take(_FLAG, "flag")[0].decode("ascii"))
        return tuple(flags)
    flags.append(scanner.take(_FLAG, "flag")[0].decode("ascii"))
    while scanner.skip(b" "):
        flags.append(scanner.take(_FLAG, "flag")[0].decode("ascii"))
    return tuple(flags)


def append_message(scanner: Scanner) -> c.AppendMessage:
    """Flags, date and message."""
    flags: tuple[str, ...] = ()
    date = None
    if scanner.peek() == b"(":
        flags = flag_list(scanner)
        scanner.space()
    if scanner.peek() == b'"':
        date = date_time(scanner)
        scanner.space()
    if scanner.text[scanner.position : scanner.position + 10].upper() == b"CATENATE (":
        scanner.position += 10
        return _catenate(scanner, flags, date)
    utf8 = scanner.skip(b"UTF8 (")  # RFC 6855 4
    literal = scanner.literal()
    if literal is None:
        raise SyntaxProblem("literal expected")
    if utf8:
        scanner.expect(b")")
    return c.AppendMessage(flags, date, literal.size, literal.binary)


def _catenate(scanner: Scanner, flags: tuple[str, ...], date: float | None) -> c.AppendMessage:
    """RFC 4469 5."""
    parts: list[CatText | CatUrl] = []
    while True:
        kind = scanner.word()
        scanner.space()
        if kind == "URL":
            parts.append(CatUrl(scanner.astring_text()))
        elif kind == "TEXT":
            literal = scanner.literal()
            if literal is None:
                raise SyntaxProblem("literal expected")
            parts.append(CatText(literal.size))
        else:
            raise SyntaxProblem("TEXT or URL expected")
        if scanner.skip(b")"):
            return c.AppendMessage(
                flags, date, sum(part.size for part in parts if isinstance(part, CatText)), False, tuple(parts)
            )
        scanner.space()


def _append(scanner: Scanner) -> c.Command:
    scanner.space()
    mailbox = scanner.mailbox()
    messages: list[c.AppendMessage] = []
    while scanner.skip(b" "):
        messages.append(append_message(scanner))
    if not messages:
        raise SyntaxProblem("APPEND needs a message")
    return c.Append(mailbox, tuple(messages))


def _replace(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        """RFC 8508 4: one number, one message."""
        scanner.space()
        number = scanner.take(_ONE, "one number")[0]
        scanner.space()
        mailbox = scanner.mailbox()
        scanner.space()
        return c.Replace(uid, sequence.parse(number), mailbox, append_message(scanner))

    return read


APPEND_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {"APPEND": _append, "REPLACE": _replace(uid=False), "UID REPLACE": _replace(uid=True)}
)
