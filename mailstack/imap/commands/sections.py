"""Which octets of a message a BODY[...] or BINARY[...] means."""

from mailstack.message import header as fields
from mailstack.message.mime import Part, find
from mailstack.message.transfer import decode_body
from mailstack.wire.imap.fetch import Attribute, BinarySection, BinarySize, Item, Kind, Section
from mailstack.wire.imap.responses import literal, without_nul

_HEADERS = (Kind.HEADER, Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT)
Span = tuple[int, int]  # offsets of a message


def of_header(section: Section) -> bool:
    """Whether the message's header is enough to answer it."""
    return not section.parts and section.kind in _HEADERS


def _target(section: Section, root: Part) -> Part | None:
    """The part that a section is about; for HEADER and TEXT of a part, the message inside it."""
    part = root if not section.parts else find(root, section.parts)
    if part is None:
        return None
    if section.parts and section.kind in (*_HEADERS, Kind.TEXT):
        return part.children[0] if part.type == b"message" and part.children else None
    return part


def stretch(item: Item, root: Part | None, size: int) -> Span | None:
    """The octets that an item is made of; None when there is no such part. Whole messages need no tree."""
    assert not isinstance(item, Attribute)
    if not item.parts and (not isinstance(item, Section) or item.kind is Kind.WHOLE):
        found = (0, size)
    else:
        assert root is not None
        part = _target(item, root) if isinstance(item, Section) else find(root, item.parts)
        if part is None:
            return None
        if isinstance(item, Section) and item.kind in (*_HEADERS, Kind.MIME):
            found = (part.start, part.body)
        else:
            found = (part.body, part.end)
    if isinstance(item, Section) and not item.names and item.start is not None:
        start = min(found[1], found[0] + item.start)
        found = (start, min(found[1], start + (item.length or 0)))
    return found


def from_header(item: Item, header: bytes) -> bytes:
    """The answer to an item that the message's header is enough for."""
    assert isinstance(item, Section)
    if item.names:
        return shown(item, header, None)
    if item.start is not None:
        header = header[item.start : item.start + (item.length or 0)]
    return item.label + b" " + literal(header)


def shown(item: Item, data: bytes | None, root: Part | None) -> bytes:
    """The answer to an item, from the octets that `stretch` named. Raises UnknownEncoding."""
    assert not isinstance(item, Attribute)
    if data is None:
        return item.label + (b" 0" if isinstance(item, BinarySize) else b" NIL")
    if isinstance(item, Section):
        if not item.names:
            data = without_nul(data)
            return b"%b {%d}\r\n%b" % (item.label, len(data), data)  # one copy, for whole messages and attachments
        data = choose_fields(data, item)
    else:
        data = decode_body(data, encoding_of(item, root))
    if isinstance(item, BinarySize):
        return item.label + b" %d" % len(data)
    if item.start is not None:
        data = data[item.start : item.start + (item.length or 0)]
    if isinstance(item, BinarySection) and b"\0" in data:
        return item.label + b" ~{%d}\r\n" % len(data) + data
    return item.label + b" " + literal(data)


def encoding_of(item: BinarySection | BinarySize, root: Part | None) -> bytes:
    """The transfer encoding of the part that it is about; of others than leaves there is none (RFC 3516 4.2)."""
    part = find(root, item.parts) if item.parts and root is not None else None
    return b"8bit" if part is None or part.type in (b"multipart", b"message") else part.encoding


def choose_fields(header: bytes, section: Section) -> bytes:
    """HEADER.FIELDS and HEADER.FIELDS.NOT: the fields as they are, and a blank line."""
    return fields.choose_fields(header, frozenset(section.names), keep=section.kind is Kind.HEADER_FIELDS)
