"""What a FETCH asks for (RFC 9051 6.4.5, RFC 3516, RFC 8474, RFC 8514, RFC 8970)."""

import enum
from dataclasses import dataclass


class Attribute(enum.Enum):
    UID = b"UID"
    FLAGS = b"FLAGS"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    BODY = b"BODY"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    SAVEDATE = b"SAVEDATE"
    PREVIEW = b"PREVIEW"
    PREVIEW_LAZY = b"PREVIEW (LAZY)"


class Kind(enum.Enum):
    """Which octets of a part."""

    WHOLE = b""
    HEADER = b"HEADER"
    HEADER_FIELDS = b"HEADER.FIELDS"
    HEADER_FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[section]<start.length>. `label` is how the answer names it."""

    parts: tuple[int, ...] = ()
    kind: Kind = Kind.WHOLE
    names: tuple[bytes, ...] = ()  # header fields, lower case
    peek: bool = False
    start: int | None = None
    length: int | None = None
    label: bytes = b"BODY[]"


@dataclass(frozen=True, slots=True)
class BinarySection:
    """BINARY[parts]<start.length>: without its transfer encoding."""

    parts: tuple[int, ...]
    peek: bool = False
    start: int | None = None
    length: int | None = None
    label: bytes = b"BINARY[]"


@dataclass(frozen=True, slots=True)
class BinarySize:
    parts: tuple[int, ...]
    label: bytes = b"BINARY.SIZE[]"


Item = Attribute | Section | BinarySection | BinarySize
