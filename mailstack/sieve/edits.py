"""Changes of a message's header as values, and the message with them (RFC 5293)."""

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


Edit = AddField | DeleteField
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
    if not edits:
        return data
    header, body = split_header(data)
    lines = [raw for _, raw in field_lines(header)]
    for edit in edits:
        if isinstance(edit, DeleteField):
            if edit.place < len(lines):
                del lines[edit.place]
        elif edit.last:
            lines.append(edit.octets)
        else:
            lines.insert(0, edit.octets)
    return b"".join(lines) + b"\r\n" + body
