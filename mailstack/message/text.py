"""What can be looked for in a message: its header fields, its parts' headers and its texts, decoded and folded.

Any octets have a text; it never raises. What is found does not depend on where it is looked for: a search in an index and
one in the message itself ask the same pieces.
"""

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_tz

from mailstack.message.charset import decode
from mailstack.message.collation import casemap
from mailstack.message.header import decode_words, fields, first, split_header
from mailstack.message.html import to_text
from mailstack.message.mime import Part, walk
from mailstack.message.transfer import UnknownEncoding, decode_body

TEXT_LIMIT = 8 << 20  # octets of bodies, and of headers, that are looked at
PIECE = "\0"  # between two pieces: nothing is found across it
# The text of an attachment, given its type, its name and its octets; None where there is none.
Attachments = Callable[[str, str, bytes], str | None]


@dataclass(frozen=True, slots=True)
class Searchable:
    """Folded text; pieces are separated by PIECE."""

    fields: tuple[tuple[str, str], ...]  # of the message's own header: folded name and value, in order
    mime: str  # the headers of its parts
    body: str  # its texts, and the headers of messages inside it
    sent: int | None  # the day of the Date field, as days since the epoch

    @property
    def head(self) -> str:
        """The fields as TEXT looks at them."""
        return PIECE.join(f"{name}: {value}" for name, value in self.fields)

    def values(self, name: str) -> list[str]:
        """Values of the fields of a name, which is folded."""
        return [value for one, value in self.fields if one == name]


def read_header(header: bytes) -> Searchable:
    """Of a message's header alone."""
    header = header[:TEXT_LIMIT]
    found = tuple((casemap(name.decode("ascii")), casemap(decode_words(value))) for name, value in fields(header))
    return Searchable(found, "", "", sent_day(header))


def read_message(data: bytes, attachments: Attachments | None = None) -> Searchable:
    """Of a whole message."""
    header, _ = split_header(data)
    own = read_header(header)
    reader = _Reader(data, attachments)
    reader.read(walk(data))
    return Searchable(own.fields, PIECE.join(reader.mime), PIECE.join(reader.body), own.sent)


class _Reader:
    def __init__(self, data: bytes, attachments: Attachments | None) -> None:
        self.data = data
        self.attachments = attachments
        self.left = self.left_of_headers = TEXT_LIMIT
        self.mime: list[str] = []
        self.body: list[str] = []

    def read(self, part: Part) -> None:
        """A part with all below it."""
        for child in part.children:
            (self.body if part.type == b"message" else self.mime).extend(self._header(child))
            self.read(child)
        if part.type == b"text":
            self.body.append(self._text(part))
        elif self.attachments is not None and not part.children:
            self._attachment(part, self.attachments)

    def _header(self, part: Part) -> Iterator[str]:
        length = min(part.body - part.start, self.left_of_headers)
        self.left_of_headers -= length
        for name, value in fields(self.data[part.start : part.start + length]):
            yield casemap(f"{name.decode('ascii')}: {decode_words(value)}")

    def _text(self, part: Part) -> str:
        body = self._octets(part)
        text = decode(body, (part.parameter(b"charset") or b"").decode("ascii", "replace"))
        return casemap(to_text(text) if part.subtype == b"html" else text)

    def _octets(self, part: Part) -> bytes:
        body = self.data[part.body : min(part.end, part.body + self.left)]
        self.left -= len(body)
        try:
            return decode_body(body, part.encoding)
        except (UnknownEncoding, ValueError):
            return body

    def _attachment(self, part: Part, attachments: Attachments) -> None:
        name = part.disposition[1] if part.disposition else ()
        value = dict(name).get(b"filename") or part.parameter(b"name") or b""
        kind = b"%b/%b" % (part.type, part.subtype)
        try:
            body = decode_body(self.data[part.body : part.end], part.encoding)
        except (UnknownEncoding, ValueError):
            return
        text = attachments(kind.decode("ascii", "replace"), decode(value, None), body)
        if text:
            self.body.append(casemap(text[:TEXT_LIMIT]))


def sent_day(header: bytes) -> int | None:
    """The day of the Date field, as days since the epoch, without its zone (RFC 9051 6.4.4)."""
    value = first(header, b"date")
    if value is None:
        return None
    try:
        parsed = parsedate_tz(value[:200].decode("ascii", "replace"))
        return None if parsed is None else calendar.timegm((parsed[0], parsed[1], parsed[2], 0, 0, 0)) // 86400
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
