"""A message's header by octets: found, read and cut, never written anew."""

import re
from collections.abc import Container
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import getaddresses

_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"^([\x21-\x39\x3b-\x7e]+)[ \t]*:(.*(?:\r?\n[ \t].*)*)(?:\r?\n|\Z)", re.MULTILINE)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_WORD = re.compile(rb"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address of a header field: the name as decoded text, and `local@domain` as written (empty if there is none)."""

    name: str
    address: str


def split_header(data: bytes) -> tuple[bytes, bytes]:
    """(header with its blank line, body). A message without a blank line is all header."""
    if data.startswith((b"\r\n", b"\n")):
        cut = data.index(b"\n") + 1
        return data[:cut], data[cut:]
    found = _END.search(data)
    if found is None:
        return data, b""
    return data[: found.end()], data[found.end() :]


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name as written, raw value with its folding), in order. Lines that are no field are left out."""
    return [(found[1], found[2]) for found in _FIELD.finditer(header)]


def unfold(value: bytes) -> bytes:
    """A value on one line, stripped."""
    return _FOLD.sub(b"", value).strip() if b"\n" in value else value.strip()


def first(header: bytes, name: bytes) -> bytes | None:
    """The unfolded value of the first field of that name, in any case."""
    wanted = name.lower()
    for found, value in fields(header):
        if found.lower() == wanted:
            return unfold(value)
    return None


def every(header: bytes, name: bytes) -> list[bytes]:
    """The unfolded values of all fields of that name."""
    wanted = name.lower()
    return [unfold(value) for found, value in fields(header) if found.lower() == wanted]


def decode_words(value: bytes) -> str:
    """Text of a value with encoded words (RFC 2047) and raw 8-bit. Never raises."""
    if b"=?" not in value:
        return value.decode("utf-8", "replace")
    try:
        pieces = decode_header(value.decode("utf-8", "surrogateescape"))
    except (HeaderParseError, ValueError):
        return value.decode("utf-8", "replace")
    out: list[str] = []
    for piece, charset in pieces:
        if isinstance(piece, str):
            out.append(piece.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
            continue
        try:
            out.append(piece.decode(charset or "utf-8", "replace"))
        except (LookupError, ValueError):
            out.append(piece.decode("latin-1"))
    return "".join(out)


def addresses(value: bytes) -> list[Mailbox]:
    """The addresses of a From, To and their like, best effort: groups are opened, nothing raises."""
    try:
        pairs = getaddresses([value.decode("utf-8", "surrogateescape")], strict=False)  # type: ignore[call-arg]
    except TypeError:  # Python before the `strict` argument
        pairs = getaddresses([value.decode("utf-8", "surrogateescape")])
    except (ValueError, IndexError, AttributeError, RecursionError):
        return []
    found = []
    for name, address in pairs:
        text = decode_words(name.encode("utf-8", "surrogateescape")) if name else ""
        clean = address.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if text or clean:
            found.append(Mailbox(text, clean))
    return found


def remove_fields(header: bytes, names: Container[bytes]) -> bytes:
    """The header without the fields whose lower-case names are in `names`; every other octet stays."""
    out = []
    position = 0
    for found in _FIELD.finditer(header):
        if found[1].lower() in names:
            out.append(header[position : found.start()])
            position = found.end()
    out.append(header[position:])
    return b"".join(out)
