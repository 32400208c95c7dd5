"""Binary bodies made fit for those who can't read NULs (RFC 3516 4.4: no data is lost)."""

import binascii
import re

from mailstack.message.mime import Part, walk

_FIELD = re.compile(rb"^content-transfer-encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_LINE = 57  # octets that make a line of 76 characters (RFC 2045 6.8)
_AT_ONCE = _LINE * 1024


def encoded(data: bytes) -> bytes:
    """A message whose parts with Content-Transfer-Encoding: binary that hold NUL are base64 instead; the same object
    where there are none. What does not say that it is binary stays as it is.
    """
    if b"\0" not in data:
        return data
    edits: list[tuple[int, int, bytes]] = []
    _edit(walk(data), data, edits)
    if not edits:
        return data
    pieces: list[bytes] = []
    position = 0
    for start, end, new in sorted(edits):
        pieces += (data[position:start], new)
        position = end
    pieces.append(data[position:])
    return b"".join(pieces)


def _edit(part: Part, data: bytes, edits: list[tuple[int, int, bytes]]) -> bool:
    """Whether anything in it was changed."""
    if part.children:
        changed = [_edit(child, data, edits) for child in part.children]
        if any(changed) and part.encoding == b"binary":
            # RFC 2045 6.4: what holds other parts says no more than they do.
            _say(part, data, b"8bit", edits)
        return any(changed)
    if part.encoding != b"binary" or data.find(b"\0", part.body, part.end) < 0:
        return False
    _say(part, data, b"base64", edits)
    edits.append((part.body, part.end, _base64(data[part.body : part.end])))
    return True


def _say(part: Part, data: bytes, encoding: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    found = _FIELD.search(data[part.start : part.body])
    assert found is not None  # the part has this encoding because such a field says so
    end = part.start + found.end() - (1 if found[0].endswith(b"\r") else 0)
    edits.append((part.start + found.start(), end, b"Content-Transfer-Encoding: " + encoding))


def _base64(body: bytes) -> bytes:
    """In lines, some thousand at a time."""
    lines: list[bytes] = []
    for start in range(0, len(body), _AT_ONCE):
        some = body[start : start + _AT_ONCE]
        lines += [binascii.b2a_base64(some[one : one + _LINE], newline=False) for one in range(0, len(some), _LINE)]
    return b"\r\n".join(lines)
