"""A message's header as the octets that it is: fields are found and cut out, never written anew (RFC 5322 2.2)."""

import binascii
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from mailstack.message.address import Address, parse_address
from mailstack.message.addresslist import Group, mailboxes
from mailstack.message.charset import decode
from mailstack.message.errors import SyntaxProblem

_BLANK = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"([^\n]*)((?:\n[ \t][^\n]*)*)\n?")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_WHOLE_FIELD = re.compile(rb"^([\x21-\x39\x3b-\x7e]+)[ \t]*:.*(?:\r?\n[ \t].*)*+(?:\r?\n|\Z)", re.MULTILINE)
# RFC 2047 2, read with tolerance: blanks inside the text of a word, and a language (RFC 2231 5).
_WORD = re.compile(rb"=\?([^?\s*]{1,40})(?:\*[^?\s]*)?\?([bBqQ])\?([^?\r\n]*)\?=")
_BETWEEN = re.compile(rb"[ \t\r\n]*\Z")
_Q = re.compile(rb"=([0-9A-Fa-f]{2})")
# What Thunderbird, Apple Mail, Outlook, K-9, mutt, Roundcube and their like ask of each message of a folder, in lower case.
KEPT_FIELDS = frozenset(
    re.findall(
        rb"[a-z0-9-]+",
        b"date from sender reply-to to cc bcc subject message-id in-reply-to references newsgroups followup-to lines "
        b"user-agent "
        b"content-type content-transfer-encoding content-disposition content-description content-class mime-version priority "
        b"x-priority x-msmail-priority importance x-label list-id list-post list-subscribe list-unsubscribe x-original-to "
        b"disposition-notification-to x-k9mail-identity x-uniform-type-identifier x-universally-unique-identifier x-mailer "
        b"x-draft-info x-spam-status x-spam-flag auto-submitted resent-from resent-to resent-date",
    )
)
AT_ONCE = 65536  # octets
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox of an address list, as the header writes it."""

    name: str  # display name, decoded; "" when there is none
    local: str  # "" where the header lacks it, like domain
    domain: str

    @property
    def address(self) -> Address | None:
        """The address in normal form; None where it is not one that mail can be sent to."""
        local = self.local
        if any(character in ' "(),:;<>@[\\]' for character in local):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        try:
            return parse_address(f"{local}@{self.domain}")
        except SyntaxProblem:
            return None


def split_header(data: bytes) -> tuple[bytes, bytes]:
    """(header with its blank line, body). A message without a blank line is all header."""
    end = header_end(data)
    return data[:end], data[end:]


def header_end(data: bytes) -> int:
    """The offset of the body."""
    if data[:2] == b"\r\n":
        return 2
    if data[:1] == b"\n":
        return 1
    blank = _BLANK.search(data)
    return len(data) if blank is None else blank.end()


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name as written, raw value with its folding but without the last line break), in order. What is no field is left out."""
    return [(name, raw[value:]) for name, raw, value in _raw_fields(header)]


def field_lines(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, the whole field with its name and its line breaks), in order."""
    return [(name.lower(), raw) for name, raw, _ in _raw_fields(header, line_breaks=True)]


def pieces(header: bytes) -> list[tuple[bytes | None, bytes]]:
    """All of its octets, field by field: (name as written, the whole field). None for what is no field, like the blank line."""
    found = ((_NAME.match(raw), raw) for raw in _raw_lines(header))
    return [(name[1] if name is not None else None, raw) for name, raw in found]


@lru_cache(64)
def _field(name: bytes) -> re.Pattern[bytes]:
    """A field of this name with its folded lines, behind a line end: by that octet the search goes from line to line."""
    return re.compile(rb"\n" + re.escape(name) + rb"[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)


def first(header: bytes, name: bytes) -> bytes | None:
    """The unfolded, stripped value of the first field `name` of a header alone; None when there is none."""
    found = _field(name).search(b"\n" + header)
    return None if found is None else unfold(found[1])


def every(header: bytes, name: bytes) -> list[bytes]:
    """The unfolded, stripped values of all fields `name` of a header alone, in order."""
    return [unfold(value) for value in _field(name).findall(b"\n" + header)]


def each(pattern: re.Pattern[bytes], text: bytes) -> Iterable[tuple[bytes, ...]]:
    """The groups of all matches; of a long text one at a time, so that no other thread waits for all of them."""
    if len(text) <= AT_ONCE:
        return pattern.findall(text)
    return (found.groups(b"") for found in pattern.finditer(text))


def unfold(value: bytes) -> bytes:
    """RFC 5322 2.2.3: without the line breaks of folding, and stripped."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(b" \t\r")


def remove_fields(header: bytes, names: Container[bytes], whole: Container[bytes] = ()) -> bytes:
    """The header without the fields whose lower-case name is in `names`, and those that are in `whole` as they stand.

    All other octets stay as they are.
    """
    kept = []
    for raw in _raw_lines(header):
        name = _NAME.match(raw)
        if name is None or (name[1].lower() not in names and raw not in whole):
            kept.append(raw)
    return b"".join(kept)


def choose_fields(header: bytes, names: Container[bytes], *, keep: bool = True) -> bytes:
    """The fields whose lower-case name is in `names` (or is not, without `keep`), as they are, and a blank line."""
    chosen = [found[0] for found in _WHOLE_FIELD.finditer(header) if (found[1].lower() in names) is keep]
    if chosen and not chosen[-1].endswith(b"\n"):
        chosen[-1] += b"\r\n"
    return b"".join(chosen) + b"\r\n"


def addresses(value: bytes) -> list[Mailbox]:
    """The mailboxes of an address list (RFC 5322 3.4), those in groups too. Never raises; what can't be read is best effort."""
    found = []
    for entry in mailboxes(unfold(value)):
        if not isinstance(entry, Group):
            found.append(Mailbox(decode_words(entry.name or b""), decode(entry.local, None), decode(entry.domain, None)))
    return found


def authors(header: bytes) -> list[Address | None]:
    """All in From and in Sender (RFC 5322 3.6.2), of every such field; None for what is no address."""
    return [one.address for name in (b"from", b"sender") for value in every(header, name) for one in addresses(value)]


def decode_words(value: bytes) -> str:
    """Text of a header value, with its encoded words decoded (RFC 2047). Never raises."""
    value = unfold(value)
    if b"=?" not in value:
        return decode(value, None)
    text: list[str] = []
    pending: list[bytes] = []  # octets of adjacent words of one charset: senders cut characters in two
    charset = ""
    position = 0
    for word in _WORD.finditer(value):
        between = value[position : word.start()]
        adjacent = position > 0 and _BETWEEN.match(between) is not None
        name = word[1].decode("ascii", "replace").lower()
        if not adjacent or name != charset:
            text.append(decode(b"".join(pending), charset))
            pending.clear()
            if not adjacent:
                text.append(decode(between, None))
        charset = name
        pending.append(_word_octets(word[2], word[3]))
        position = word.end()
    text.append(decode(b"".join(pending), charset))
    text.append(decode(value[position:], None))
    return "".join(text)


def _word_octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"qQ":
        return _Q.sub(lambda found: bytes((int(found[1], 16),)), text.replace(b"_", b" "))
    digits = _NOT_BASE64.sub(b"", text)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _raw_lines(header: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(header):
        found = _FIELD.match(header, position)
        assert found is not None  # the pattern matches everywhere
        yield found[0]
        position = found.end()


def _raw_fields(header: bytes, line_breaks: bool = False) -> Iterator[tuple[bytes, bytes, int]]:
    """(name, the field, offset of its value in it)."""
    for raw in _raw_lines(header):
        name = _NAME.match(raw)
        if name is not None:
            yield name[1], raw if line_breaks else raw.removesuffix(b"\n").removesuffix(b"\r"), name.end()
        elif raw in (b"\r\n", b"\n"):
            return
