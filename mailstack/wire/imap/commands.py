"""One value a command."""

from dataclasses import dataclass

from mailstack.wire.imap.catenate import CatText, CatUrl
from mailstack.wire.imap.fetch import Item
from mailstack.wire.imap.notify import EventGroup
from mailstack.wire.imap.resync import Known
from mailstack.wire.imap.search import Key, Partial, Returns
from mailstack.wire.imap.search_sources import Source
from mailstack.wire.imap.sequence import SequenceSet
from mailstack.wire.imap.sort import Algorithm, Criterion


@dataclass(frozen=True, slots=True)
class Capability:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Logout:
    pass


@dataclass(frozen=True, slots=True)
class Id:
    fields: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class StartTls:
    pass


@dataclass(frozen=True, slots=True)
class Compress:
    pass


@dataclass(frozen=True, slots=True)
class Authenticate:
    mechanism: str
    initial: bytes | None  # base64, as sent; None when there is none


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Unauthenticate:
    pass


@dataclass(frozen=True, slots=True)
class Enable:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Select:
    mailbox: str
    read_only: bool = False
    condstore: bool = False
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Create:
    mailbox: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    mailbox: str


@dataclass(frozen=True, slots=True)
class ListMailboxes:
    """LIST; `extended` when any part of RFC 5258 was used."""

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[str] = frozenset()  # SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE
    returns: frozenset[str] = frozenset()  # SUBSCRIBED CHILDREN SPECIAL-USE MYRIGHTS
    status: tuple[str, ...] = ()
    extended: bool = False
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub:
    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Xlist:
    """What came before RFC 6154."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace:
    pass


@dataclass(frozen=True, slots=True)
class Status:
    mailbox: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """A literal, or the `parts` of a CATENATE (RFC 4469)."""

    flags: tuple[str, ...]
    date: float | None  # seconds since the epoch
    size: int
    binary: bool
    parts: tuple[CatText | CatUrl, ...] = ()

    @property
    def literals(self) -> int:
        """How many of them were streamed."""
        return sum(isinstance(part, CatText) for part in self.parts) if self.parts else 1


@dataclass(frozen=True, slots=True)
class Append:
    """The messages' bytes were streamed on their way here."""

    mailbox: str
    messages: tuple[AppendMessage, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """One message in another's stead. Its bytes were streamed."""

    uid: bool
    set: SequenceSet
    mailbox: str
    message: AppendMessage


@dataclass(frozen=True, slots=True)
class Idle:
    pass


@dataclass(frozen=True, slots=True)
class Notify:
    """Without groups: NOTIFY NONE."""

    groups: tuple[EventGroup, ...] = ()
    status: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    pass


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class Unselect:
    pass


@dataclass(frozen=True, slots=True)
class Expunge:
    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class UidBatches:
    """Messages in a batch, and which batches; all of them without."""

    size: int
    first: int = 1
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    uid: bool
    key: Key
    returns: Returns | None = None


@dataclass(frozen=True, slots=True)
class SearchMailboxes:
    """ESEARCH (RFC 7377)."""

    sources: tuple[Source, ...]
    key: Key
    returns: Returns


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """RFC 5267 4.3.5."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    uid: bool
    criteria: tuple[Criterion, ...]
    key: Key
    returns: Returns | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    uid: bool
    algorithm: Algorithm
    key: Key


@dataclass(frozen=True, slots=True)
class Fetch:
    uid: bool
    set: SequenceSet
    items: tuple[Item, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class Store:
    uid: bool
    set: SequenceSet
    sign: str  # "+", "-" or ""
    silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    uid: bool
    set: SequenceSet
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move:
    uid: bool
    set: SequenceSet
    mailbox: str


@dataclass(frozen=True, slots=True)
class SetAcl:
    mailbox: str
    identifier: str
    sign: str  # "+", "-" or ""
    rights: str  # letters


@dataclass(frozen=True, slots=True)
class DeleteAcl:
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class GetAcl:
    mailbox: str


@dataclass(frozen=True, slots=True)
class ListRights:
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    mailbox: str


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """`largest` in octets, None without a limit; `depth` -1 is infinity. The empty mailbox is the server."""

    mailbox: str
    entries: tuple[str, ...]
    largest: int | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class SetMetadata:
    mailbox: str
    changes: tuple[tuple[str, bytes | None], ...]  # None removes


@dataclass(frozen=True, slots=True)
class GenUrlAuth:
    urls: tuple[tuple[str, str], ...]  # with the mechanism


@dataclass(frozen=True, slots=True)
class ResetKey:
    mailbox: str | None  # None: all
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UrlFetch:
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GetQuota:
    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    root: str


Command = (
    Capability | Noop | Logout | Id | StartTls | Compress | Authenticate | Login | Enable | Select | Create | Delete
    | Rename | Subscribe | Unsubscribe | ListMailboxes | Lsub | Xlist | Namespace | Status | Append | Replace | Idle | Notify
    | Check | SetAcl | DeleteAcl | GetAcl | ListRights | MyRights | GetMetadata | SetMetadata | GenUrlAuth
    | ResetKey | UrlFetch
    | Close | Unselect | Expunge | Search | SearchMailboxes | CancelUpdate | Sort | Thread
    | Fetch | Store | Copy | Move | GetQuota | GetQuotaRoot | SetQuota
    | Unauthenticate | UidBatches
)  # fmt: skip
