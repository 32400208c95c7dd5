"""Search keys as a tree (RFC 9051 6.4.4)."""

import datetime
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mailstack.message.flag import Flags
from mailstack.wire.imap.sequence import SequenceSet


class DateKind(enum.Enum):
    INTERNAL = enum.auto()
    SENT = enum.auto()
    SAVED = enum.auto()  # RFC 8514 4.3


class Comparison(enum.Enum):
    BEFORE = enum.auto()
    ON = enum.auto()
    SINCE = enum.auto()


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple["Key", ...]  # empty: every message


@dataclass(frozen=True, slots=True)
class Or:
    left: "Key"
    right: "Key"


@dataclass(frozen=True, slots=True)
class Not:
    key: "Key"


@dataclass(frozen=True, slots=True)
class HasFlag:
    flag: Flags


@dataclass(frozen=True, slots=True)
class HasKeyword:
    keyword: str


@dataclass(frozen=True, slots=True)
class Recent:
    new: bool = False  # NEW: recent and unseen


@dataclass(frozen=True, slots=True)
class Header:
    name: str  # lower case
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Date:
    kind: DateKind
    comparison: Comparison
    day: datetime.date


@dataclass(frozen=True, slots=True)
class Larger:
    size: int


@dataclass(frozen=True, slots=True)
class Smaller:
    size: int


@dataclass(frozen=True, slots=True)
class Uids:
    set: SequenceSet


@dataclass(frozen=True, slots=True)
class Numbers:
    set: SequenceSet


@dataclass(frozen=True, slots=True)
class ModSeq:
    value: int


@dataclass(frozen=True, slots=True)
class Within:
    """YOUNGER and OLDER (RFC 5032): how many seconds before now; `resolve` makes an Arrived of it."""

    seconds: int
    older: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """By the second: since a moment, or until it."""

    moment: int
    until: bool


@dataclass(frozen=True, slots=True)
class EmailId:
    """RFC 8474 6."""

    id: bytes


@dataclass(frozen=True, slots=True)
class ThreadId:
    """RFC 8474 6."""

    id: bytes


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """RFC 6203 3."""

    key: "Key"


@dataclass(frozen=True, slots=True)
class Filter:
    """A search that is kept under a name (RFC 5466 3.1)."""

    name: str


Key = (
    And | Or | Not | HasFlag | HasKeyword | Recent | Header | Body | Text | Date | Larger | Smaller | Uids | Numbers | ModSeq
    | Within | Arrived | EmailId | ThreadId | Fuzzy | Filter
)  # fmt: skip


class Return(enum.Flag):
    """RETURN options (RFC 9051 6.4.4, RFC 4731, RFC 5267, RFC 9394, RFC 6203)."""

    MIN = enum.auto()
    MAX = enum.auto()
    ALL = enum.auto()
    COUNT = enum.auto()
    SAVE = enum.auto()
    PARTIAL = enum.auto()
    RELEVANCY = enum.auto()
    UPDATE = enum.auto()
    CONTEXT = enum.auto()  # a hint that is not needed (RFC 5267 4.2)


@dataclass(frozen=True, slots=True)
class Partial:
    """Which of the results, counted from 1, or from the last as -1 (RFC 9394 3.1)."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return abs(self.last - self.first) + 1

    def of(self, found: Sequence[int]) -> Sequence[int]:
        """Those that are there."""
        low, high = sorted((abs(self.first), abs(self.last)))
        if self.first < 0:
            return found[max(0, len(found) - high) : max(0, len(found) - low + 1)]
        return found[low - 1 : high]


@dataclass(frozen=True, slots=True)
class Returns:
    """What a search answers with."""

    options: Return
    partial: Partial | None = None


def every(key: Key) -> Iterator[Key]:
    """A key and all those inside it."""
    todo = [key]
    while todo:
        key = todo.pop()
        yield key
        match key:
            case And(keys):
                todo += keys
            case Or(left, right):
                todo += (left, right)
            case Not(child) | Fuzzy(child):
                todo.append(child)


def replaced(key: Key, change: Callable[[Key], Key]) -> Key:
    """The key with each of those that hold no others changed."""
    match key:
        case And(keys):
            return And(tuple([replaced(child, change) for child in keys]))
        case Or(left, right):
            return Or(replaced(left, change), replaced(right, change))
        case Not(child):
            return Not(replaced(child, change))
        case Fuzzy(child):
            return Fuzzy(replaced(child, change))
        case _:
            return change(key)


def resolved(key: Key, now: float) -> Key:
    """With moments in place of ages (RFC 5032 3)."""

    def change(one: Key) -> Key:
        return Arrived(int(now) - one.seconds, one.older) if isinstance(one, Within) else one

    return replaced(key, change) if any(isinstance(one, Within) for one in every(key)) else key


def needs_modseq(key: Key) -> bool:
    """Whether MODSEQ appears anywhere (it enables CONDSTORE)."""
    return any(isinstance(one, ModSeq) for one in every(key))


def is_fuzzy(key: Key) -> bool:
    """Whether there is a relevancy to tell of (RFC 6203 4)."""
    return any(isinstance(one, Fuzzy) for one in every(key))
