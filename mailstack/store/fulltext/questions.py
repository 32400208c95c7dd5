"""What helpers are asked, and what they answer: the messages on their pipes."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

import msgspec


class Comparison(enum.Enum):
    BEFORE = "before"
    ON = "on"
    SINCE = "since"


class Criterion(msgspec.Struct, frozen=True, tag=True):
    """What a message must have. Needles and names are folded (message/collation.py)."""


class InText(Criterion, frozen=True, tag="text"):
    """A header field or the body holds the needle."""

    needle: str


class InBody(Criterion, frozen=True, tag="body"):
    needle: str


class InField(Criterion, frozen=True, tag="field"):
    """A field of this name holds the needle; any such field when it is empty."""

    name: str
    needle: str


class Sent(Criterion, frozen=True, tag="sent"):
    """The day of the Date field, as days since the epoch."""

    comparison: Comparison
    day: int


AnyCriterion = InText | InBody | InField | Sent


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox as the index knows it."""

    database: str
    mailbox: str  # its id and its UIDVALIDITY: no other ever has both
    root: str  # the account's Maildir


class File(NamedTuple):
    """Where a message is, below its account's Maildir."""

    uid: int
    path: bytes
    convert: bool  # it has bare LF and is served with CRLF


class Incoming(NamedTuple):
    """A message to be taken in: where it is, and what tells it from any other that ever had its UID."""

    file: File
    size: int
    date: int


class Attachments(msgspec.Struct, frozen=True):
    """A program that reads an attachment on its standard input and writes its text."""

    command: list[str]
    seconds: float
    size: int  # octets of an attachment


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Which of the packed ascending UIDs the index lacks; and which it has that are not these (Answer.unknown).

    One that has another size or date is another message: its UID was given again after a restore. It is lacking, too.
    """

    database: str
    mailbox: str
    uids: bytes
    sizes: bytes
    dates: bytes


class Add(msgspec.Struct, frozen=True, tag="add"):
    """Take messages in. Those that the index has, or that are not there, are passed over."""

    database: str
    mailbox: str
    root: str
    messages: list[Incoming]
    attachments: Attachments | None = None


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Forget messages; packed UIDs, or None for the whole mailbox."""

    database: str
    mailbox: str
    uids: bytes | None


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """Remove an account's index: it is made anew."""

    database: str


class Find(msgspec.Struct, frozen=True, tag="find"):
    """Look for messages among packed ascending UIDs."""

    database: str
    mailbox: str
    criterion: AnyCriterion
    among: bytes


class Scan(msgspec.Struct, frozen=True, tag="scan"):
    """Look into messages themselves."""

    root: str
    files: list[File]
    criterion: AnyCriterion


class Make(msgspec.Struct, frozen=True, tag="make"):
    """Answers of a kind of store.mailbox.answers, and what comes with them (Answer.made)."""

    root: str
    files: list[File]
    kind: str


Question = Compare | Add | Remove | Drop | Find | Scan | Make


class Numbered(msgspec.Struct, frozen=True, array_like=True):
    id: int
    question: Question


class Answer(msgspec.Struct, frozen=True, array_like=True):
    id: int
    found: bytes = b""  # packed UIDs, ascending
    unknown: bytes = b""  # UIDs that could not be told of
    problem: str = ""
    damaged: bool = False  # the index is, and nothing was told of it
    made: dict[str, dict[int, bytes]] = msgspec.field(default_factory=dict)  # kind of answer to UID to answer


encoder = msgspec.msgpack.Encoder()
to_question = msgspec.msgpack.Decoder(Numbered)
to_answer = msgspec.msgpack.Decoder(Answer)
