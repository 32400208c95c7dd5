"""What goes in and out of a mail account: requests, results and changes as values."""

import enum
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.drafts import Draft

NO_FLAGS = Flags(0)


class SpecialUse(enum.Enum):
    """RFC 6154 2."""

    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"


class How(enum.Enum):
    """What STORE does with the flags it names."""

    ADD = enum.auto()
    REMOVE = enum.auto()
    REPLACE = enum.auto()


@dataclass(frozen=True, slots=True)
class AccountFolder:
    """Where an account lives: its folder under `<data>/mail`, and its index, which may be elsewhere."""

    path: Path
    index: Path
    quota: int | None = None  # octets
    message_quota: int | None = None  # messages


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """One line of a LIST: the name as clients see it, separator `/`."""

    name: str
    selectable: bool
    subscribed: bool
    special_use: SpecialUse | None
    children: bool


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """RFC 9051 6.3.11. Sizes in octets."""

    messages: int
    unseen: int
    deleted: int
    recent: int
    uid_next: int
    uid_validity: int
    highest_modseq: int
    size: int
    deleted_size: int
    id: str


@dataclass(frozen=True, slots=True)
class Brief:
    """What is told of a mailbox that nobody opens for it. `unseen` is None where that would need an opening."""

    messages: int
    uid_next: int
    uid_validity: int
    highest_modseq: int
    unseen: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account holds: octets and messages."""

    octets: int
    messages: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored: `prefix` (trace headers) and then `content`."""

    content: Content
    prefix: bytes = b""
    flags: Flags = NO_FLAGS
    keywords: frozenset[str] = frozenset()
    internal_date: float | None = None  # seconds since the epoch; None is now
    unique: str | None = None  # EMAILID; a delivery's is <id>.<recipient number>
    fresh: bool = False  # a delivery: goes to new/, and is let in over quota
    once: bool = False  # a delivery that may be tried again: the unique name makes no second copy
    again: bool = False  # and an attempt may have been cut off before


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message that is in tmp/ and flushed, but not in a mailbox yet. With `draft` it is to be written when it is named."""

    mailbox: str
    temporary: bytes  # path
    size: int
    date: int
    unique: str
    flags: Flags
    keywords: frozenset[str]
    fresh: bool
    once: bool = False
    again: bool = False
    draft: Draft | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """RFC 9051 7.1 APPENDUID. A delivery that was there already has its old UID, or 0 when it is gone since."""

    uid_validity: int
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """RFC 9051 7.1 COPYUID: the UIDs here and there, in the same order."""

    uid_validity: int
    sources: tuple[int, ...]
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a STORE did: UIDs changed, UIDs refused because of UNCHANGEDSINCE, and the MODSEQ of the change."""

    changed: tuple[int, ...]
    modified: tuple[int, ...]
    modseq: int


@dataclass(frozen=True, slots=True)
class MessagesAdded:
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    uids: tuple[int, ...]
    modseq: int
    origin: object = None  # the session that did it, as it was given to store()


@dataclass(frozen=True, slots=True)
class MessagesExpunged:
    uids: tuple[int, ...]
    modseq: int


@dataclass(frozen=True, slots=True)
class MailboxGone:
    """Deleted by another session."""


@dataclass(frozen=True, slots=True)
class GrantsChanged:
    """Others than its owner may do more or less in the mailbox than before."""


@dataclass(frozen=True, slots=True)
class MailboxMade:
    name: str
    origin: object = None  # the session that did it


@dataclass(frozen=True, slots=True)
class MailboxRemoved:
    name: str
    origin: object = None


@dataclass(frozen=True, slots=True)
class MailboxRenamed:
    old: str
    new: str
    origin: object = None


@dataclass(frozen=True, slots=True)
class SubscriptionsChanged:
    names: tuple[str, ...]
    origin: object = None


@dataclass(frozen=True, slots=True)
class AnnotationsChanged:
    """Of a mailbox, or of the account (RFC 5464), whose name is empty."""

    name: str
    entries: tuple[str, ...]
    origin: object = None


TreeChange = MailboxMade | MailboxRemoved | MailboxRenamed | SubscriptionsChanged | AnnotationsChanged
Change = MessagesAdded | FlagsChanged | MessagesExpunged | MailboxGone | GrantsChanged
