"""Whether a message's text holds a needle: decoded, any charset, without regard to case."""

import calendar
import re
from email.utils import parsedate_tz

from mailstack.imap.commands.sections import UnknownEncoding, decode_body
from mailstack.message.charset import decode
from mailstack.message.header import decode_words, every, fields, first, split_header, unfold
from mailstack.message.mime import Part, walk

_TAG = re.compile(r"<[^>]*>")


def header_contains(header: bytes, name: str, needle: str) -> bool:
    """An empty needle asks whether the field is there."""
    values = every(header, name.encode("utf-8"))
    wanted = needle.casefold()
    return any(not wanted or wanted in decode_words(value).casefold() for value in values)


def text_contains(data: bytes, needle: str, *, with_headers: bool) -> bool:
    """Any text part, and with TEXT any header."""
    wanted = needle.casefold()
    if not wanted:
        return True
    if with_headers:
        header, _ = split_header(data)
        if any(wanted in _field(name, value).casefold() for name, value in fields(header)):
            return True
    return _part_contains(walk(data), data, wanted, with_headers)


def _field(name: bytes, value: bytes) -> str:
    return name.decode("ascii", "replace") + ": " + decode_words(unfold(value))


def _part_contains(part: Part, data: bytes, wanted: str, with_headers: bool) -> bool:
    for child in part.children:
        if with_headers or part.type == b"message":
            header = data[child.start : child.body]
            if any(wanted in _field(name, value).casefold() for name, value in fields(header)):
                return True
        if _part_contains(child, data, wanted, with_headers):
            return True
    if part.type != b"text":
        return False
    try:
        body = decode_body(data[part.body : part.end], part.encoding)
    except (UnknownEncoding, ValueError):
        body = data[part.body : part.end]
    return wanted in decode(body, (part.parameter(b"charset") or b"").decode("ascii", "replace")).casefold()


def sent_date(header: bytes) -> int | None:
    """The day of the Date field, as days since the epoch, without its zone (RFC 9051 6.4.4)."""
    value = first(header, b"date")
    if value is None:
        return None
    parsed = parsedate_tz(value.decode("ascii", "replace"))
    if parsed is None:
        return None
    try:
        return calendar.timegm((parsed[0], parsed[1], parsed[2], 0, 0, 0)) // 86400
    except (ValueError, OverflowError):
        return None
