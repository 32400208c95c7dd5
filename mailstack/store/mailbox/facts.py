"""What a commit says: facts about mailboxes, and the file operations that it promised to carry out.

One commit is one row of the journal, whatever the number of messages; numbers travel as packed arrays. What is kept is sealed
with a checksum: SQLite does not see damage inside of a value.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable

import msgspec


class Added(msgspec.Struct, frozen=True, tag="a"):
    """Messages that came. `bases` are file names without flags, joined by newlines."""

    modseq: int
    uids: bytes  # array "I"
    flags: bytes  # array "Q"
    sizes: bytes  # array "Q": octets on the wire
    dates: bytes  # array "q"
    bases: bytes
    fresh: bool = False  # the files are in new/
    saved: int = 0  # when they came into the mailbox, seconds since the epoch; 0 where nobody knows


class Flagged(msgspec.Struct, frozen=True, tag="f"):
    """New flags of messages, whose files are in cur/ from now on."""

    modseq: int
    uids: bytes
    flags: bytes


class Gone(msgspec.Struct, frozen=True, tag="g"):
    """Messages that are no more: tombstones."""

    modseq: int
    uids: bytes


class Rebased(msgspec.Struct, frozen=True, tag="n"):
    """Files that other programs gave another name, and that are the same messages. `bases` as in Added."""

    modseq: int
    uids: bytes
    bases: bytes


Fact = Added | Rebased | Flagged | Gone


class Rename(msgspec.Struct, frozen=True, tag="r"):
    """Paths relative to the account's Maildir; `source_base` finds a source whose flags another program changed."""

    source: bytes
    target: bytes


class Link(msgspec.Struct, frozen=True, tag="l"):
    source: bytes
    target: bytes


class Unlink(msgspec.Struct, frozen=True, tag="u", omit_defaults=True):
    """With `keep` the file is put where deleted messages stay for a while (graves.py); a program that knows no such place
    removes it.
    """

    path: bytes
    keep: bool = False


Operation = Rename | Link | Unlink


class MailboxFacts(msgspec.Struct, frozen=True):
    """Facts of one mailbox by its id, in order."""

    mailbox: str
    facts: list[Fact]


class Entry(msgspec.Struct, frozen=True):
    """One row of the journal. Operations are carried out after the commit, and again at a start that finds them open."""

    changes: list[MailboxFacts]
    operations: list[Operation] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class Damaged(ValueError):
    """What was read is not what was written."""


def seal(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big") + data


def unseal(data: object) -> bytes:
    """Raises Damaged."""
    if not isinstance(data, bytes) or zlib.crc32(memoryview(data)[4:]).to_bytes(4, "big") != data[:4]:
        raise Damaged
    return data[4:]


def dump(entry: Entry) -> bytes:
    return seal(_encoder.encode(entry))


def load(data: bytes) -> Entry:
    """Raises Damaged."""
    return _decoder.decode(unseal(data))


def pack(kind: str, values: Iterable[int]) -> bytes:
    return array(kind, values).tobytes()


def unpack(kind: str, data: bytes) -> array[int]:
    packed: array[int] = array(kind)
    packed.frombytes(data)
    return packed


_segment_decoder = msgspec.msgpack.Decoder(list[bytes])


def pack_segment(columns: list[bytes]) -> bytes:
    return seal(_encoder.encode(columns))


def unpack_segment(data: bytes) -> list[bytes]:
    return _segment_decoder.decode(unseal(data))


class Head(msgspec.Struct, frozen=True):
    """What a snapshot knows of a mailbox beside its messages."""

    uid_validity: int
    uid_next: int
    highest_modseq: int
    tombstone_uids: bytes = b""
    tombstone_modseqs: bytes = b""
    tombstones_since: int = 0
    folder_times: tuple[int, int] = (0, 0)  # mtime of cur and new, ns, when nothing else had changed them
    octets: int = 0
    messages: int = 0
    unsure: bool = False  # whether a change of others may be hidden by our own of the same moment: look once more


_head_decoder = msgspec.msgpack.Decoder(Head)


def dump_head(head: Head) -> bytes:
    return seal(_encoder.encode(head))


def load_head(data: bytes) -> Head:
    return _head_decoder.decode(unseal(data))
