"""Search keys as a tree (RFC 9051 6.4.4)."""

import datetime
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.message.flag import Flags
from mailstack.wire.imap.sequence import SequenceSet


class DateKind(enum.Enum):
    INTERNAL = enum.auto()
    SENT = enum.auto()


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


Key = And | Or | Not | HasFlag | HasKeyword | Recent | Header | Body | Text | Date | Larger | Smaller | Uids | Numbers | ModSeq


class Return(enum.Flag):
    """RETURN options (RFC 9051 6.4.4, RFC 4731, RFC 9394)."""

    MIN = enum.auto()
    MAX = enum.auto()
    ALL = enum.auto()
    COUNT = enum.auto()
    SAVE = enum.auto()
    PARTIAL = enum.auto()


@dataclass(frozen=True, slots=True)
class Partial:
    """Which of the results, counted from 1, or from the last as -1 (RFC 9394 3.1)."""

    first: int
    last: int

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


def needs_modseq(key: Key) -> bool:
    """Whether MODSEQ appears anywhere (it enables CONDSTORE)."""
    match key:
        case And(keys):
            return any(needs_modseq(child) for child in keys)
        case Or(left, right):
            return needs_modseq(left) or needs_modseq(right)
        case Not(child):
            return needs_modseq(child)
        case ModSeq():
            return True
        case _:
            return False
