"""Parameters of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2231)."""

import re
from urllib.parse import unquote_to_bytes

from mailstack.message.charset import decode
from mailstack.message.header import each

_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s]*))')
_EXTENDED = re.compile(rb"(.+?)\*([0-9]+)?(\*)?$")
_ESCAPED = re.compile(rb"\\(.)")

LIMIT = 1 << 14  # octets that are looked at

Parameters = tuple[tuple[bytes, bytes], ...]


def parse_parameters(text: bytes) -> Parameters:
    """`; name=value` pairs with RFC 2231 continuations put together; names in lower case, the first of a name counts."""
    text = text[:LIMIT]
    if b";" not in text:
        return ()
    plain: dict[bytes, bytes] = {}
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    order: list[bytes] = []
    for name, quoted, token in each(_PARAMETER, text):
        name = name.lower()
        value = _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted or token
        extended = _EXTENDED.match(name) if b"*" in name else None
        if extended is None:
            if name not in plain:
                plain[name] = value
                order.append(name)
            continue
        base, number, star = extended[1], extended[2], extended[3]
        if base not in pieces:
            pieces[base] = {}
            order.append(base)
        pieces[base].setdefault(int(number or 0) if len(number or b"") < 6 else 0, (bool(star) or number is None, value))
    found: dict[bytes, bytes] = {}
    for name in order:
        if name in pieces:
            found[name] = _join(pieces[name])
        elif name not in found:
            found[name] = plain[name]
    return tuple(found.items())


def _join(pieces: dict[int, tuple[bool, bytes]]) -> bytes:
    """The pieces of an RFC 2231 value, percent-decoded; the charset is UTF-8 for all that clients send today."""
    out: list[bytes] = []
    charset = b"utf-8"
    for number in sorted(pieces):
        encoded, value = pieces[number]
        if encoded:
            if not out and value.count(b"'") >= 2:
                charset, _, value = value.split(b"'", 2)
            value = unquote_to_bytes(value)
        out.append(value)
    joined = b"".join(out)
    if charset.lower() in (b"utf-8", b"us-ascii", b""):
        return joined
    return decode(joined, charset.decode("ascii", "replace")).encode()
