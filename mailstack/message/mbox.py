"""What mbox files (RFC 4155) say of messages: the `From ` line, and the fields in which programs keep flags."""

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

from mailstack.message.flag import Flags
from mailstack.message.header import decode_words, every, first, remove_fields, unfold

# Fields that mean something in the file they came from only.
OF_THE_FILE = frozenset(
    (b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imap", b"x-imapbase", b"x-mozilla-status", b"x-mozilla-status2",
     b"x-mozilla-keys", b"content-length")
)  # fmt: skip
MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_FROM = re.compile(
    rb"From .*?(?:[A-Z][a-z]{2},? )([A-Z][a-z]{2}) +(\d{1,2}) (\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"(?: ([A-Z]{1,5}|[+-]\d{4}))?(?: ([A-Z]{1,5}|[+-]\d{4}))? (\d{4})(?: ([+-]\d{4}))?\s*$"
)
_WORD = re.compile(r"[^!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]+")  # what no keyword can have (RFC 9051 9)
LATEST = 253402300799  # the end of the year 9999
_GMAIL = {
    "unread": "unread", "opened": None, "starred": "flagged", "important": "$Important", "inbox": "INBOX", "sent": "Sent",
    "draft": "Drafts", "drafts": "Drafts", "spam": "Junk", "trash": "Trash", "chat": "Chats", "archived": None,
}  # fmt: skip
_PLACES = ("Trash", "Junk", "Drafts", "Sent", "INBOX")  # of several, the first is where it goes


@dataclass(frozen=True, slots=True)
class Marks:
    """What a header says beside the message: `mailbox` where Gmail's labels name one, `gone` where it was removed already."""

    flags: Flags
    keywords: frozenset[str] = frozenset()
    mailbox: str | None = None
    gone: bool = False


def from_line_date(line: bytes) -> float | None:
    """The time in a `From ` line, seconds since the epoch; UTC where it names no zone."""
    found = _FROM.match(line[:300])
    if found is None or found[1].decode() not in MONTHS:
        return None
    zone = found[9] or found[7] or found[6] or b"+0000"
    shift = 0
    if zone[:1] in b"+-":
        shift = (int(zone[1:3]) * 60 + int(zone[3:5])) * (-60 if zone[:1] == b"-" else 60)
    when = (int(found[8]), MONTHS[found[1].decode()], int(found[2]), int(found[3]), int(found[4]), int(found[5] or 0))
    sound = 0 < when[2] < 32 and when[3] < 24 and when[4] < 60
    return _moment(calendar.timegm((*when, 0, 0, 0)) - shift) if sound else None


def header_date(header: bytes) -> float | None:
    """When it arrived, by its topmost Received (RFC 5322 3.6.7), else when it was written."""
    received = first(header, b"received")
    for value in (received.rpartition(b";")[2] if received is not None and b";" in received else None, first(header, b"date")):
        if value is None:
            continue
        try:
            parsed = parsedate_tz(unfold(value)[:200].decode("ascii", "replace"))
            found = _moment(mktime_tz(parsed)) if parsed is not None else None
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
        if found is not None:
            return found
    return None


def _moment(seconds: float) -> float | None:
    return float(seconds) if 0 < seconds <= LATEST else None


def marks(header: bytes) -> Marks:
    """Flags and keywords. What says nothing of having been read is old mail, and counts as read."""
    labels = first(header, b"x-gmail-labels")
    if labels is not None:
        return _gmail(decode_words(labels))
    mozilla = first(header, b"x-mozilla-status")
    if mozilla is not None:
        return _mozilla(mozilla, every(header, b"x-mozilla-keys"))
    status, more = first(header, b"status"), first(header, b"x-status") or b""
    flags = Flags.SEEN if status is None or b"R" in status else Flags(0)
    for letter, flag in ((b"A", Flags.ANSWERED), (b"F", Flags.FLAGGED), (b"D", Flags.DELETED), (b"T", Flags.DRAFT)):
        if letter in more:
            flags |= flag
    return Marks(flags, _keywords(b" ".join(every(header, b"x-keywords"))))


def _mozilla(status: bytes, keys: list[bytes]) -> Marks:
    try:
        bits = int(status.strip()[:4], 16)
    except ValueError:
        bits = 1
    flags = Flags(0)
    for bit, flag in ((1, Flags.SEEN), (2, Flags.ANSWERED), (4, Flags.FLAGGED)):
        if bits & bit:
            flags |= flag
    keywords = _keywords(b" ".join(keys)) | ({"$Forwarded"} if bits & 0x1000 else frozenset())
    return Marks(flags, keywords, gone=bool(bits & 8))


def _keywords(text: bytes) -> frozenset[str]:
    words = (keyword(word) for word in text.decode("utf-8", "replace").split())
    return frozenset(word for word in words if word)


def keyword(label: str) -> str:
    """A label as a keyword; empty where nothing is left of it."""
    return _WORD.sub("_", label.strip()).strip("_")[:64]


def _labels(text: str) -> Iterable[str]:
    """By commas, but for those in quotes."""
    for quoted, plain in re.findall(r'"([^"]*)"|([^,]+)', text):
        label = (quoted or plain).strip()
        if label:
            yield label


def _gmail(text: str) -> Marks:
    flags, words, places, own = Flags.SEEN, set(), set(), []
    for label in _labels(text):
        meaning = _GMAIL.get(label.lower(), "")
        if meaning == "unread":
            flags &= ~Flags.SEEN
        elif meaning == "flagged":
            flags |= Flags.FLAGGED
        elif meaning and meaning.startswith("$"):
            words.add(meaning)
        elif meaning:
            places.add(meaning)
        elif meaning == "" and not label.lower().startswith("category "):
            own.append(label)
    mailbox = next((place for place in _PLACES if place in places), None)
    if mailbox is None or mailbox == "INBOX":
        # What has a label of its own is kept there; all else that Gmail has in no folder is its archive.
        mailbox = mailbox or (own.pop(0) if own else "Archive")
    return Marks(flags, frozenset(words | {word for word in map(keyword, own) if word}), mailbox)


def is_pseudo(header: bytes) -> bool:
    """The message that programs keep at the start of a file for themselves."""
    subject = first(header, b"subject") or b""
    return first(header, b"x-imap") is not None and (b"INTERNAL DATA" in subject or b"FOLDER INTERNAL" in subject)


def cleaned(header: bytes) -> bytes:
    """Without what meant something in the file only."""
    return remove_fields(header, OF_THE_FILE)
