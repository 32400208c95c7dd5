"""One walk over a message: which octets are which part (RFC 2045, 2046). Any bytes have a tree; sizes always add up."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from mailstack.message.header import each, unfold
from mailstack.message.parameters import Parameters, parse_parameters

DEPTH_LIMIT = 100
PART_LIMIT = 10_000
PASSED_LIMIT = 1_000_000  # lines that look like boundaries and are none
HEADER_LIMIT = 1 << 20  # octets of a part's header that are looked at

LINE_LIMIT = 1024  # octets of a boundary's line
SHORT_HEADER = 256  # octets
HEADER_STEP = 4096  # octets of a header that are looked at first

_HEADER_END = re.compile(rb"\n(?:\r?\n|--)")
_WANTED = re.compile(
    rb"\n(content-(?:type|transfer-encoding|id|description|disposition|language|location|md5))[ \t]*:"
    rb"([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE,
)
_LANGUAGES = re.compile(rb"[\s,]+")
_TYPE = re.compile(rb"\s*([\w!#$&^.+-]+)\s*/\s*([\w!#$&^.+-]+)")
_TOKEN = re.compile(rb"\s*([^\s;\"(]+)")
_COMMENT = re.compile(rb"\([^()]*\)")


class Part(msgspec.Struct, frozen=True, array_like=True):
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


class Octets(Protocol):
    """A message: its octets, or a file that is read as it is looked at."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...

    def find(self, needle: bytes, start: int, /) -> int: ...

    def count(self, needle: bytes, start: int, end: int, /) -> int: ...


class _Fields(msgspec.Struct, frozen=True):
    """What a part's header says."""

    type: bytes
    subtype: bytes
    parameters: Parameters
    encoding: bytes
    id: bytes | None = None
    description: bytes | None = None
    disposition: tuple[bytes, Parameters] | None = None
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    md5: bytes | None = None

    @property
    def holds_message(self) -> bool:
        return (
            self.type == b"message"
            and self.subtype in (b"rfc822", b"global")
            and self.encoding in (b"7bit", b"8bit", b"binary")
        )


class _Entity:
    """A part that is being read: its header is known, its end is not."""

    __slots__ = ("boundary", "children", "fields", "place", "start")

    def __init__(self, start: int, place: int, fields: _Fields) -> None:
        self.start = start
        self.place = place  # of the body
        self.fields = fields
        self.boundary: bytes | None = None  # of a multipart whose parts are looked for
        self.children: list[Part] = []


class _Walk:
    """From the beginning to the end, once: lines that begin with "--" are looked up among the boundaries of open multiparts."""

    def __init__(self, data: Octets) -> None:
        self.data = data
        self.size = len(data)
        self.parts = 0
        self.open: list[_Entity] = []
        self.boundaries: dict[bytes, int] = {}  # to the place in `open`; of two with the same boundary the outer one's
        self.needle = b"\n--"  # with what all boundaries begin with
        self.passed = 0  # lines that look like boundaries and are none
        self.counted: list[tuple[int, int, int]] = []  # stretches whose line ends are counted, in order

    def run(self) -> Part:
        data = self.data
        position = self._begin(0, (b"text", b"plain"))
        while self.boundaries:
            found = data.find(self.needle, position)
            if found < 0:
                break
            position, line = self._line(found)
            level, final = self._boundary(line)
            if level is None:
                self.passed += 1
                if self.passed > PASSED_LIMIT:
                    break
                continue
            stop = self._stop(found, level)
            while len(self.open) > level + 1:
                self._end(stop)
            if final or position >= self.size:
                self._forget(self.open[level].boundary or b"")
            elif self.parts < PART_LIMIT:
                digest = self.open[level].fields.subtype == b"digest"
                position = self._begin(position + 1, (b"message", b"rfc822") if digest else (b"text", b"plain"))
        while len(self.open) > 1:
            self._end(self.size)
        return self._part(self.open[0], self.size)

    def _line(self, found: int) -> tuple[int, bytes]:
        """Where the line behind a line end ends, and what follows the "--" that it begins with."""
        start = found + 3
        line = self.data[start : start + LINE_LIMIT]
        end = line.find(b"\n")
        if end >= 0:
            return start + end, line[:end].rstrip(b" \t\r")
        if start + len(line) >= self.size:
            return self.size, line.rstrip(b" \t\r")
        return start, b""  # too long for a boundary

    def _boundary(self, line: bytes) -> tuple[int | None, bool]:
        """The place of the multipart that a line ends a part of, and whether it is the last one."""
        level = self.boundaries.get(line)
        if line.endswith(b"--"):
            last = self.boundaries.get(line[:-2])
            if last is not None and (level is None or last < level):
                return last, True
        return level, False

    def _stop(self, found: int, level: int) -> int:
        """The end of the part before a boundary's line: the line end before it belongs to the boundary (RFC 2046 5.1.1)."""
        if len(self.open) <= level + 1:
            return found
        start = self.open[level + 1].start
        stop = found
        if stop < start:
            return start
        if stop > start and self.data[stop - 1 : stop] == b"\r":
            stop -= 1
        return stop

    def _begin(self, start: int, default: tuple[bytes, bytes]) -> int:
        """Read the header of a part, and of the messages that it is made of. From where on boundaries are looked for."""
        while True:
            self.parts += 1
            place, whole = self._header_end(start)
            position = place - 1 if place > start else max(start - 1, 0)
            header = self.data[start : min(place, start + HEADER_LIMIT)]
            fields = _known_fields(header, default) if len(header) < SHORT_HEADER else _fields(header, default)
            entity = _Entity(start, place, fields)
            self.open.append(entity)
            if len(self.open) > DEPTH_LIMIT or self.parts >= PART_LIMIT:
                return position
            if fields.type == b"multipart":
                self._look_for_parts(entity)
                return position
            if not fields.holds_message:
                return position
            start, default = place, (b"text", b"plain")
            if not whole:  # a boundary cut the header off: there is nothing inside
                self.parts += 1
                self.open.append(_Entity(place, place, _fields(b"", default)))
                return position

    def _look_for_parts(self, entity: _Entity) -> None:
        value = next((value for key, value in entity.fields.parameters if key == b"boundary"), b"").rstrip(b" \t\r")
        if value and len(value) < LINE_LIMIT and value not in self.boundaries:
            entity.boundary = value
            self.boundaries[value] = len(self.open) - 1
            self.needle = b"\n--" + _common(self.boundaries)

    def _forget(self, boundary: bytes) -> None:
        del self.boundaries[boundary]
        self.needle = b"\n--" + _common(self.boundaries)

    def _header_end(self, start: int) -> tuple[int, bool]:
        """The offset of the body; False when the header ends at a boundary, behind which none goes on."""
        data = self.data
        if start >= self.size:
            return self.size, True
        if not start:
            first = data[:2]
            if first[:1] == b"\n" or first == b"\r\n":
                return first.index(b"\n") + 1, True
        position = max(start - 1, 0)
        step = HEADER_STEP
        while True:
            block = data[position : position + step]
            at = 0
            while (found := _HEADER_END.search(block, at)) is not None:
                if found[0] != b"\n--":
                    return position + found.end(), True
                if self.boundaries and self._boundary(self._line(position + found.start())[1])[0] is not None:
                    return position + found.start() + 1, False
                at = found.start() + 1
            if position + len(block) >= self.size:
                return self.size, True
            position += len(block) - 2
            step = HEADER_LIMIT

    def _end(self, stop: int) -> None:
        """The innermost part ends. One that begins behind its end is none."""
        entity = self.open.pop()
        parent = self.open[-1]
        if entity.boundary is not None and self.boundaries.get(entity.boundary) == len(self.open):
            self._forget(entity.boundary)
        if entity.start > stop:
            if parent.fields.type == b"multipart":
                return
            entity.start = stop
        parent.children.append(self._part(entity, stop))

    def _part(self, entity: _Entity, end: int) -> Part:
        fields = entity.fields
        kind, subtype, parameters = fields.type, fields.subtype, fields.parameters
        place = min(entity.place, end)
        if not entity.children:
            if kind == b"multipart":
                # A multipart without parts has no structure to show: it is served as the text that it is.
                kind, subtype, parameters = b"text", b"plain", ()
            elif kind == b"message" and subtype in (b"rfc822", b"global"):
                kind, subtype, parameters = b"application", b"octet-stream", ()
        return Part(
            entity.start,
            place,
            end,
            kind,
            subtype,
            parameters,
            fields.id,
            fields.description,
            fields.encoding,
            fields.disposition,
            fields.language,
            fields.location,
            fields.md5,
            self._lines(place, end) if kind in (b"text", b"message") else 0,
            tuple(entity.children),
        )

    def _lines(self, start: int, end: int) -> int:
        """Line ends between two offsets. What was counted for the parts inside is not counted again."""
        inside = []
        while self.counted and self.counted[-1][0] >= start:
            inside.append(self.counted.pop())
        total, position = 0, start
        for first, last, lines in reversed(inside):
            total += self.data.count(b"\n", position, first) + lines
            position = last
        total += self.data.count(b"\n", position, end)
        self.counted.append((start, end, total))
        return total


def walk(data: Octets) -> Part:
    """The tree of a whole message. Time grows with its size, whatever is in it; memory with its parts."""
    return _Walk(data).run()


def _common(boundaries: Collection[bytes]) -> bytes:
    """With what all of them begin."""
    if not boundaries:
        return b""
    first, last = min(boundaries), max(boundaries)
    for place, octet in enumerate(first):
        if last[place] != octet:
            return first[:place]
    return first


def _fields(header: bytes, default: tuple[bytes, bytes]) -> _Fields:
    values: dict[bytes, bytes] = {}
    for name, value in each(_WANTED, b"\n" + header):
        values.setdefault(name.lower()[8:], unfold(value))
    get = values.get
    language = get(b"language")
    return _Fields(
        *_content_type(get(b"type"), default),
        _encoding(get(b"transfer-encoding")),
        get(b"id"),
        get(b"description"),
        _disposition(get(b"disposition")),
        tuple([word for word in _LANGUAGES.split(language) if word]) if language else (),
        get(b"location"),
        get(b"md5"),
    )


# The headers of most parts are those of many others.
_known_fields = lru_cache(512)(_fields)


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
