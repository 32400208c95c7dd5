"""Which octets of a message a BODY[...] or BINARY[...] means."""

import base64
import binascii
import quopri
import re

from mailstack.message.mime import Part, find
from mailstack.wire.imap.fetch import Kind, Section

_RAW_FIELD = re.compile(rb"^([\x21-\x39\x3b-\x7e]+)[ \t]*:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", re.MULTILINE)


class UnknownEncoding(Exception):
    """A transfer encoding that can't be undone."""


def _target(section: Section, root: Part) -> Part | None:
    """The part that a section is about; for HEADER and TEXT of a part, the message inside it."""
    part = root if not section.parts else find(root, section.parts)
    if part is None:
        return None
    if section.parts and section.kind in (Kind.HEADER, Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT, Kind.TEXT):
        return part.children[0] if part.type == b"message" and part.children else None
    return part


def span(section: Section, root: Part) -> tuple[int, int] | None:
    """Start and end octets; None when the section is no one stretch (chosen header fields) or does not exist."""
    part = _target(section, root)
    if part is None or section.kind in (Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT):
        return None
    match section.kind:
        case Kind.HEADER | Kind.MIME:
            return part.start, part.body
        case Kind.TEXT:
            return part.body, part.end
        case _:
            return (part.body, part.end) if section.parts else (part.start, part.end)


def pick(section: Section, data: bytes, root: Part | None, header_only: bool) -> bytes | None:
    """The octets of a section; None when there is no such part. With `header_only`, `data` is the message's header."""
    if header_only:
        return data if section.kind is Kind.HEADER else choose_fields(data, section)
    assert root is not None
    if section.kind in (Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT):
        part = _target(section, root)
        return None if part is None else choose_fields(data[part.start : part.body], section)
    found = span(section, root)
    return None if found is None else data[found[0] : found[1]]


def choose_fields(header: bytes, section: Section) -> bytes:
    """HEADER.FIELDS and HEADER.FIELDS.NOT: the fields as they are, and a blank line."""
    wanted = set(section.names)
    keep = section.kind is Kind.HEADER_FIELDS
    chosen = [found[0] for found in _RAW_FIELD.finditer(header) if (found[1].lower() in wanted) is keep]
    if chosen and not chosen[-1].endswith(b"\n"):
        chosen[-1] += b"\r\n"
    return b"".join(chosen) + b"\r\n"


def decode_body(data: bytes, encoding: bytes) -> bytes:
    """A body without its transfer encoding. Raises UnknownEncoding."""
    if encoding in (b"7bit", b"8bit", b"binary"):
        return data
    if encoding == b"quoted-printable":
        return quopri.decodestring(data)
    if encoding == b"base64":
        try:
            return base64.b64decode(re.sub(rb"[^A-Za-z0-9+/]", b"", data) + b"==")
        except binascii.Error:
            clean = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
            return base64.b64decode(clean[: len(clean) // 4 * 4])
    raise UnknownEncoding


def binary(numbers: tuple[int, ...], data: bytes, root: Part) -> bytes | None:
    """BINARY[numbers] (RFC 3516 4.2); of a whole message or a multipart it is the octets as they are."""
    part = find(root, numbers) if numbers else root
    if part is None:
        return None
    if not numbers:
        return data[part.start : part.end]
    body = data[part.body : part.end]
    return body if part.type in (b"multipart", b"message") else decode_body(body, part.encoding)
