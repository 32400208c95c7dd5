"""Changes of a message as values, and the message with them (RFC 5293; RFC 5703 5, 6)."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from mailstack.message.header import field_lines, split_header


@dataclass(frozen=True, slots=True)
class AddField:
    """A field in front of all others, or behind them."""

    name: str
    value: str
    last: bool = False

    @property
    def octets(self) -> bytes:
        """The field with its line break. A line break in the value becomes folding."""
        return f"{self.name}: ".encode() + folded(self.value) + b"\r\n"


@dataclass(frozen=True, slots=True)
class DeleteField:
    """The field at this place, counted from 0 over the fields as all edits before left them."""

    place: int


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the message, as it is from here on: what was changed before is in it."""

    data: bytes = dataclasses.field(repr=False)


Edit = AddField | DeleteField | Whole
LINE = 78  # RFC 5322 2.1.1


def folded(value: str) -> bytes:
    """A value in lines that are not too long: broken before blanks, never inside of words."""
    lines: list[str] = []
    line = ""
    for word in " ".join(value.split()).split(" "):
        if line and len(line) + len(word) >= LINE - 12:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return "\r\n ".join(lines).encode("utf-8", "replace")


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The message with the edits done in order. What no edit names keeps its octets."""
    edits = tuple(edits)
    for place in range(len(edits) - 1, -1, -1):
        one = edits[place]
        if isinstance(one, Whole):
            data, edits = one.data, edits[place + 1 :]
            break
    if not edits:
        return data
    header, body = split_header(data)
    pieces = _pieces(header)
    for edit in edits:
        if isinstance(edit, DeleteField):
            if edit.place < len(pieces) - 1:
                before, _ = pieces.pop(edit.place)
                pieces[edit.place] = (before + pieces[edit.place][0], pieces[edit.place][1])
        elif isinstance(edit, AddField) and edit.last:
            pieces.insert(len(pieces) - 1, (b"", edit.octets))
        elif isinstance(edit, AddField):
            pieces.insert(0, (b"", edit.octets))
    return b"".join([piece for pair in pieces for piece in pair]) + body


def rewritten(edits: Iterable[Edit]) -> bool:
    """Whether more than the header is another one."""
    return any(isinstance(one, Whole) for one in edits)


def _pieces(header: bytes) -> list[tuple[bytes, bytes]]:
    """Each field behind what stands before it and is none; the last pair is the blank line, behind what is left."""
    pieces: list[tuple[bytes, bytes]] = []
    position = 0
    for _, field in field_lines(header):
        start = header.index(field, position)
        ended = field if field.endswith(b"\n") else field + b"\r\n"
        pieces.append((header[position:start], ended))
        position = start + len(field)
    return [*pieces, (header[position:], b"")]
