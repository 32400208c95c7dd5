"""What SORT and THREAD go by (RFC 5256 3, RFC 5957)."""

import enum
from dataclasses import dataclass


class SortKey(enum.Enum):
    ARRIVAL = enum.auto()
    CC = enum.auto()
    DATE = enum.auto()
    DISPLAYFROM = enum.auto()
    DISPLAYTO = enum.auto()
    FROM = enum.auto()
    RELEVANCY = enum.auto()  # RFC 6203 6
    SIZE = enum.auto()
    SUBJECT = enum.auto()
    TO = enum.auto()


@dataclass(frozen=True, slots=True)
class Criterion:
    key: SortKey
    reverse: bool = False


class Algorithm(enum.Enum):
    """How THREAD threads; REFS is Dovecot's."""

    ORDEREDSUBJECT = enum.auto()
    REFERENCES = enum.auto()
    REFS = enum.auto()
