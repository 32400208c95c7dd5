"""One walk over a message: which octets are which part (RFC 2045, 2046). Any bytes have a tree; sizes always add up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import msgspec

from mailstack.message.charset import decode
from mailstack.message.header import unfold

DEPTH_LIMIT = 100
PART_LIMIT = 10_000
HEADER_LIMIT = 1 << 20  # octets of a part's header that are looked at

_BLANK = re.compile(rb"\r?\n\r?\n")
_WANTED = re.compile(
    rb"^(content-(?:type|transfer-encoding|id|description|disposition|language|location|md5))[ \t]*:(.*(?:\r?\n[ \t].*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_TYPE = re.compile(rb"\s*([\w!#$&^.+-]+)\s*/\s*([\w!#$&^.+-]+)")
_TOKEN = re.compile(rb"\s*([^\s;\"(]+)")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s]*))')
_COMMENT = re.compile(rb"\([^()]*\)")
_EXTENDED = re.compile(rb"(.+?)\*([0-9]+)?(\*)?$")

Parameters = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Octet offsets from the start of the message: header from `start`, body from `body`, both up to `end` (exclusive)."""

    start: int
    body: int
    end: int
    type: bytes  # lower case
    subtype: bytes
    parameters: Parameters = ()
    id: bytes | None = None
    description: bytes | None = None
    encoding: bytes = b"7bit"
    disposition: tuple[bytes, Parameters] | None = None
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    md5: bytes | None = None
    lines: int = 0  # line ends in the body
    children: tuple["Part", ...] = ()

    @property
    def size(self) -> int:
        """Octets of the body."""
        return self.end - self.body

    def parameter(self, name: bytes) -> bytes | None:
        for key, value in self.parameters:
            if key == name:
                return value
        return None


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts = 0

    def part(self, start: int, end: int, depth: int, default: tuple[bytes, bytes]) -> Part:
        """One entity between two offsets."""
        self.parts += 1
        data = self.data
        if data.startswith(b"\r\n", start, end):
            body = start + 2
            header = b""
        elif data.startswith(b"\n", start, end):
            body = start + 1
            header = b""
        else:
            found = _BLANK.search(data, start, end)
            body = found.end() if found else end
            header = data[start : min(body, start + HEADER_LIMIT)]
        values: dict[bytes, bytes] = {}
        for name, value in _WANTED.findall(header):
            values.setdefault(name.lower()[8:], unfold(value))
        kind, subtype, parameters = _content_type(values.get(b"type"), default)
        children: tuple[Part, ...] = ()
        encoding = _encoding(values.get(b"transfer-encoding"))
        if depth < DEPTH_LIMIT and self.parts < PART_LIMIT:
            if kind == b"multipart":
                children = self._multipart(body, end, depth, subtype, parameters)
            elif kind == b"message" and subtype in (b"rfc822", b"global") and encoding in (b"7bit", b"8bit", b"binary"):
                children = (self.part(body, end, depth + 1, (b"text", b"plain")),)
        if kind == b"multipart" and not children:
            # A multipart without parts has no structure to show: it is served as the text that it is.
            kind, subtype, parameters = b"text", b"plain", ()
        elif kind == b"message" and subtype in (b"rfc822", b"global") and not children:
            kind, subtype, parameters = b"application", b"octet-stream", ()
        lines = data.count(b"\n", body, end) if kind in (b"text", b"message") else 0
        return Part(
            start=start,
            body=body,
            end=end,
            type=kind,
            subtype=subtype,
            parameters=parameters,
            id=values.get(b"id"),
            description=values.get(b"description"),
            encoding=encoding,
            disposition=_disposition(values.get(b"disposition")),
            language=tuple(word for word in re.split(rb"[\s,]+", values.get(b"language", b"")) if word),
            location=values.get(b"location"),
            md5=values.get(b"md5"),
            lines=lines,
            children=children,
        )

    def _multipart(self, body: int, end: int, depth: int, subtype: bytes, parameters: Parameters) -> tuple[Part, ...]:
        boundary = next((value for key, value in parameters if key == b"boundary"), b"")
        if not boundary:
            return ()
        default = (b"message", b"rfc822") if subtype == b"digest" else (b"text", b"plain")
        needle = b"--" + boundary
        data = self.data
        spans: list[tuple[int, int]] = []
        position = body
        opened: int | None = None
        while True:
            found = data.find(needle, position, end)
            if found < 0:
                break
            position = found + len(needle)
            if found > body and data[found - 1 : found] != b"\n":
                continue
            line_end = data.find(b"\n", position, end)
            rest = data[position : line_end if line_end >= 0 else end].rstrip(b" \t\r")
            if rest not in (b"", b"--"):
                continue
            if opened is not None:
                stop = found
                if data[stop - 1 : stop] == b"\n" and stop - 1 >= opened:
                    stop -= 1
                    if data[stop - 1 : stop] == b"\r" and stop - 1 >= opened:
                        stop -= 1
                spans.append((opened, max(opened, stop)))
                opened = None
            if rest == b"--" or line_end < 0 or len(spans) >= PART_LIMIT:
                break
            opened = position = line_end + 1
        if opened is not None:
            spans.append((opened, end))  # the final boundary is missing
        children = []
        for first, last in spans:
            if self.parts >= PART_LIMIT:
                break
            children.append(self.part(first, last, depth + 1, default))
        return tuple(children)


def walk(data: bytes) -> Part:
    """The tree of a whole message."""
    return _Walk(data).part(0, len(data), 0, (b"text", b"plain"))


def _encoding(value: bytes | None) -> bytes:
    found = _TOKEN.match(_COMMENT.sub(b"", value)) if value else None
    return found[1].lower() if found else b"7bit"


def _content_type(value: bytes | None, default: tuple[bytes, bytes]) -> tuple[bytes, bytes, Parameters]:
    if value is None:
        return (*default, ((b"charset", b"us-ascii"),) if default[0] == b"text" else ())
    found = _TYPE.match(value)
    if found is None:
        return b"text", b"plain", ((b"charset", b"us-ascii"),)
    kind, subtype = found[1].lower(), found[2].lower()
    parameters = parse_parameters(value[found.end() :])
    if kind == b"text" and not any(key == b"charset" for key, _ in parameters):
        parameters = (*parameters, (b"charset", b"us-ascii"))
    return kind, subtype, parameters


def _disposition(value: bytes | None) -> tuple[bytes, Parameters] | None:
    found = _TOKEN.match(value) if value else None
    if found is None or value is None:
        return None
    return found[1].lower(), parse_parameters(value[found.end() :])


def parse_parameters(text: bytes) -> Parameters:
    """`; name=value` pairs with RFC 2231 continuations put together; names in lower case, the first of a name counts."""
    if b";" not in text:
        return ()
    plain: dict[bytes, bytes] = {}
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    order: list[bytes] = []
    for name, quoted, token in _PARAMETER.findall(text):
        name = name.lower()
        value = re.sub(rb"\\(.)", rb"\1", quoted) if quoted else token
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Part)


def dump(part: Part) -> bytes:
    """A tree as compact bytes."""
    return _encoder.encode(part)


def load(data: bytes) -> Part:
    return _decoder.decode(data)


def find(part: Part, numbers: Sequence[int]) -> Part | None:
    """The part of IMAP's part numbers (RFC 9051 6.4.5), None if there is none."""
    for depth, number in enumerate(numbers):
        # The message itself is no part of itself: only a message inside it is gone into.
        if depth and part.type == b"message" and part.children:
            part = part.children[0]
        elif depth and part.type != b"multipart":
            return None
        if part.type == b"multipart":
            if number > len(part.children):
                return None
            part = part.children[number - 1]
        elif number != 1:
            return None
    return part
