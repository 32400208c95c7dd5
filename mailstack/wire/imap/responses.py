"""Pieces of answers as bytes (RFC 9051 7)."""

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from mailstack.wire.imap import mutf7
from mailstack.wire.imap.sequence import shown

CRLF = b"\r\n"
RANGES_A_LINE = 1000
_QUOTABLE = re.compile(rb'[^\x00\r\n"\\\x80-\xff]*')
_QUOTABLE_UTF8 = re.compile(rb'[^\x00\r\n"\\]*')
_SAFE_ATOM = re.compile(rb"[A-Za-z0-9!#$&'+,\-./:;<=>?@^_`|~]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def string(data: bytes, *, utf8: bool = False) -> bytes:
    """Quoted where that is allowed, else a literal."""
    if len(data) < 1000:
        if (_QUOTABLE_UTF8 if utf8 else _QUOTABLE).fullmatch(data):
            return b'"' + data + b'"'
        if (_QUOTABLE_UTF8 if utf8 else _QUOTABLE).fullmatch(data.replace(b"\\", b"").replace(b'"', b"")):
            return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return literal(data)


def without_nul(data: bytes) -> bytes:
    """A literal can't carry NUL (RFC 9051 4.3.1); 0x80 in its place keeps all sizes and offsets true."""
    return data.replace(b"\0", b"\x80") if b"\0" in data else data


def literal(data: bytes) -> bytes:
    data = without_nul(data)
    return b"{%d}\r\n%b" % (len(data), data)


def nstring(data: bytes | None) -> bytes:
    return b"NIL" if data is None else string(data)


def mailbox(name: str, *, utf8: bool) -> bytes:
    """A mailbox name as this client reads it."""
    data = name.encode("utf-8") if utf8 else mutf7.encode(name)
    return data if _SAFE_ATOM.fullmatch(data) and data.upper() != b"NIL" else string(data, utf8=utf8)


def flag_list(names: Iterable[str]) -> bytes:
    return b"(" + " ".join(names).encode("ascii", "replace") + b")"


def vanished(ranges: Iterable[tuple[int, int]], *, earlier: bool = False) -> Iterator[bytes]:
    """RFC 7162 3.2.10, in lines that every client can hold."""
    start = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    rest = iter(ranges)
    while some := list(islice(rest, RANGES_A_LINE)):
        yield start + shown(some) + CRLF


def date_time(moment: int) -> bytes:
    """INTERNALDATE in UTC."""
    days, seconds = divmod(moment, 86400)
    minutes, second = divmod(seconds, 60)
    return b'"%b %02d:%02d:%02d +0000"' % (_date(days), minutes // 60, minutes % 60, second)


@lru_cache(512)  # messages that are asked for together are of few days
def _date(days: int) -> bytes:
    try:
        year, month, day, *_ = time.gmtime(days * 86400)
    except (ValueError, OverflowError, OSError):
        year, month, day = 1970, 1, 1
    return b"%2d-%b-%04d" % (day, _MONTHS[month - 1].encode(), year)


def text(message: str) -> bytes:
    """Human words for the end of a line."""
    return message.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
