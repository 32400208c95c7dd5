"""What SORT and THREAD go by, from a message's header (RFC 5256 2, RFC 5957 3)."""

import datetime
import hashlib
import re
from email.utils import parsedate_tz
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from mailstack.message.addresslist import Group, mailboxes
from mailstack.message.charset import decode
from mailstack.message.collation import casemap
from mailstack.message.header import decode_words, unfold
from mailstack.message.mime import HEADER_LIMIT
from mailstack.message.subject import base_subject

# Seconds since the epoch (None: no date that can be read), whether it is a reply or a forward, base subject, From, To and Cc
# (their first mailbox), From and To as they are shown, the digest of the Message-ID (0: none) and those of what it refers to.
Keys = tuple[int | None, bool, bytes, bytes, bytes, bytes, bytes, bytes, int, list[int]]

_WANTED = re.compile(
    rb"^(date|subject|from|to|cc|message-id|in-reply-to|references)[ \t]*:(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE
)
_DATE = re.compile(
    rb"(?:[A-Za-z]{3},)?[ ]*([0-9]{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-5][0-9])"
)
_MONTHS: Final = MappingProxyType(
    {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
)
_COMMENT = re.compile(rb"\([^()]*\)")
_AROUND_COLON = re.compile(rb"[ \t]*:[ \t]*")
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MESSAGE_ID = re.compile(rb'<[ \t]*(?:"((?:[^"\\]|\\.)*+)"[ \t]*@|([^\s<>"@]++)@)[ \t]*([^\s<>]++)[ \t]*>')
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
REFERENCES_LIMIT = 500  # the last ones of a header
OCTETS_LIMIT = 1 << 16  # of a field
ADDRESS_LIMIT = 1000  # octets of an address list, of which the first address is looked at
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Keys] = msgspec.msgpack.Decoder(Keys)


def keys(header: bytes) -> Keys:
    """Never raises: what is missing is empty."""
    values: dict[bytes, bytes] = {}
    for name, value in _WANTED.findall(header[:HEADER_LIMIT]):
        key = name.lower()
        if key not in values:
            values[key] = unfold(value[-OCTETS_LIMIT:] if key == b"references" else value[:OCTETS_LIMIT])
    get = values.get
    subject, reply = base_subject(decode_words(get(b"subject", b"")))
    (sender, shown_sender), (recipient, shown_recipient) = _party(get(b"from", b"")), _party(get(b"to", b""))
    own = message_ids(get(b"message-id", b""))
    return (
        sent(get(b"date")),
        reply,
        _octets(subject),
        sender,
        recipient,
        _party(get(b"cc", b""))[0],
        shown_sender,
        shown_recipient,
        own[0] if own else 0,
        message_ids(get(b"references", b""))[-REFERENCES_LIMIT:] or message_ids(get(b"in-reply-to", b""))[:1],
    )


def message_ids(value: bytes) -> list[int]:
    """Digests of the ids in a field, in their order: an id in quotes is the same without them (RFC 5256 3, REFERENCES)."""
    return [
        digest((_ESCAPED.sub(rb"\1", quoted) if quoted else plain) + b"@" + domain)
        for quoted, plain, domain in _MESSAGE_ID.findall(value)
    ]


def digest(id: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(id, digest_size=8).digest(), "big") or 1


def sent(value: bytes | None) -> int | None:
    """Seconds since the epoch, UTC (RFC 5256 2.2)."""
    if value is None:
        return None
    found = _DATE.match(value)
    try:
        if found is not None:
            days = datetime.date(int(found[3]), _MONTHS[found[2]], int(found[1])).toordinal() - _EPOCH
            zone = int(found[8]) * 3600 + int(found[9]) * 60
            clock = _clock(int(found[4]), int(found[5]), int(found[6]))
            return days * 86400 + clock + (zone if found[7] == b"-" else -zone)
        # Comments and blanks may stand anywhere (RFC 5322 4.3).
        plain = _AROUND_COLON.sub(b":", _COMMENT.sub(b" ", value[:200]))
        parsed = parsedate_tz(plain.decode("ascii", "replace"))
        if parsed is None:
            return None
        days = datetime.date(parsed[0], parsed[1], parsed[2]).toordinal() - _EPOCH
        return days * 86400 + _clock(parsed[3], parsed[4], parsed[5]) - (parsed[9] or 0)
    except (ValueError, OverflowError, TypeError):
        return None


def _clock(hour: int, minute: int, second: int) -> int:
    """A time that can't be is midnight."""
    return hour * 3600 + minute * 60 + second if 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61 else 0


@lru_cache(1024)  # a mailbox holds mails from few and to fewer
def _party(value: bytes) -> tuple[bytes, bytes]:
    """Of the first address what ENVELOPE shows as its addr-mailbox, and what RFC 5957 3 shows: its name, else the address."""
    if len(value) > ADDRESS_LIMIT:
        value = value[: value.find(b",", ADDRESS_LIMIT - 100) + 1 or ADDRESS_LIMIT]
    entries = mailboxes(value)
    if not entries:
        return b"", b""
    first = entries[0]
    if isinstance(first, Group):
        group = _octets(decode(first.name or b"", None))
        return group, group
    name = decode_words(first.name) if first.name else ""
    return (
        _octets(decode(first.local, None)),
        _octets(name or decode(first.local + b"@" + first.domain if first.domain else first.local, None)),
    )


def _octets(text: str) -> bytes:
    return casemap(text).encode("utf-8", "replace")


def dump(keys: Keys) -> bytes:
    return _encoder.encode(keys)


def load(data: bytes) -> Keys:
    return _decoder.decode(data)
