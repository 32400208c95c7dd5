"""A question answered by an index: candidates by trigrams, each verified against its kept text. Exact for what it knows."""

from __future__ import annotations

import sqlite3
import zlib
from array import array
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from mailstack.message.text import PIECE
from mailstack.store.fulltext.database import FIELDS, MESSAGE, NEVER, SENT, Database, row_of
from mailstack.store.fulltext.matching import compares
from mailstack.store.fulltext.questions import AnyCriterion, InBody, InField, InText, Sent

TRIGRAM = 3
TRIGRAMS_ASKED = 6  # more of them rarely leave fewer candidates
FEW = 100  # messages that are rather read than asked for in the trigrams
_END = MESSAGE.encode()
AT_ONCE = 64  # messages that are verified before others get their turn


class _All:
    """Every message is wanted."""

    def __contains__(self, _: object) -> bool:
        return True


_ALL = _All()


@dataclass(slots=True)
class Found:
    """What an answer is gathered in."""

    uids: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)


def find(database: Database, name: str, criterion: AnyCriterion, among: array[int], found: Found) -> Iterator[None]:
    """Fill `found`; each step is some milliseconds of work."""
    mailbox = database.mailbox(name)
    if mailbox is None:
        found.unknown += among
        return
    packs = dict(database.packs(mailbox))
    known = array("I")
    for uids in packs.values():
        known.extend(uids)
    wanted: Container[int] = _ALL
    if known != among:
        chosen = wanted = set(among)
        known = array("I", [uid for uid in known if uid in chosen])
        if len(known) < len(chosen):
            found.unknown += sorted(chosen.difference(known))
    yield
    match criterion:
        case InField(fold_name, needle) if fold_name in FIELDS:
            yield from _in_field(database, mailbox, packs, wanted, fold_name, needle.encode("utf-8"), found)
        case Sent():
            yield from _sent(database, mailbox, packs, wanted, criterion, found)
        case InText("") | InBody(""):
            found.uids += known
        case InText() | InBody() | InField():
            yield from _in_texts(database, mailbox, known, criterion, found)


def _in_field(
    database: Database,
    mailbox: int,
    packs: dict[int, array[int]],
    wanted: Container[int],
    name: str,
    needle: bytes,
    found: Found,
) -> Iterator[None]:
    needle = needle or PIECE.encode()  # any value at all: each has a PIECE before it
    for turn, (number, texts) in enumerate(database.fields(mailbox, name)):
        if needle in texts and number in packs:
            if texts.count(_END) + 1 == len(packs[number]):
                holding = _holding(texts, needle, packs[number])
                found.uids += holding if wanted is _ALL else [uid for uid in holding if uid in wanted]
            else:
                found.unknown += [uid for uid in packs[number] if uid in wanted]  # it changed since it was listed
        if turn % 32 == 31:
            yield


def _holding(texts: bytes, needle: bytes, uids: array[int]) -> list[int]:
    """Of the messages whose texts follow each other, those with the needle; the others are not looked at one by one."""
    found = []
    number = start = 0
    at = texts.find(needle)
    while at >= 0:
        number += texts.count(_END, start, at)
        found.append(uids[number])
        start = texts.find(_END, at)
        if start < 0:
            break
        at = texts.find(needle, start)
    return found


def _sent(
    database: Database, mailbox: int, packs: dict[int, array[int]], wanted: Container[int], criterion: Sent, found: Found
) -> Iterator[None]:
    for turn, (number, texts) in enumerate(database.fields(mailbox, SENT)):
        days = array("i", texts)
        uids = packs.get(number, array("I"))
        if len(days) == len(uids):
            for uid, day in zip(uids, days, strict=True):
                if day != NEVER and uid in wanted and compares(day, criterion.comparison, criterion.day):
                    found.uids.append(uid)
        else:
            found.unknown += [uid for uid in uids if uid in wanted]
        if turn % 32 == 31:
            yield


def _in_texts(
    database: Database, mailbox: int, known: array[int], criterion: InText | InBody | InField, found: Found
) -> Iterator[None]:
    needle = criterion.needle
    if len(needle) >= TRIGRAM and len(known) > FEW:
        known = _candidates(database.connection, mailbox, known, needle)
        yield
    columns = {InText: "head, body", InBody: "'', body", InField: "head, ''"}[type(criterion)]
    for first in range(0, len(known), AT_ONCE):
        some = known[first : first + AT_ONCE]
        seen = set()
        for uid, head, body in _texts(database.connection, mailbox, some, columns):
            seen.add(uid)
            if _holds(head, body, criterion):
                found.uids.append(uid)
        if len(seen) < len(some):
            found.unknown += [uid for uid in some if uid not in seen]  # removed meanwhile
        yield


def _candidates(connection: sqlite3.Connection, mailbox: int, known: array[int], needle: str) -> array[int]:
    """Those of the known that have all trigrams of the needle somewhere."""
    trigrams = list(dict.fromkeys(needle[place : place + TRIGRAM] for place in range(len(needle) - TRIGRAM + 1)))
    step = max(1, len(trigrams) // TRIGRAMS_ASKED)
    asked = " AND ".join('"' + one.replace('"', '""') + '"' for one in trigrams[::step])
    rows = connection.execute(
        "SELECT rowid FROM trigram WHERE trigram MATCH ? AND rowid BETWEEN ? AND ?",
        (asked, row_of(mailbox, known[0]), row_of(mailbox, known[-1])),
    )
    uids = {row[0] & 0xFFFFFFFF for row in rows}
    return array("I", [uid for uid in known if uid in uids])


def _texts(
    connection: sqlite3.Connection, mailbox: int, uids: Sequence[int], columns: str
) -> Iterator[tuple[int, bytes, bytes]]:
    if uids[-1] - uids[0] < 2 * len(uids):
        wanted = set(uids)
        rows = connection.execute(
            f"SELECT message, {columns} FROM text WHERE message BETWEEN ? AND ?",  # noqa: S608 - one of three
            (row_of(mailbox, uids[0]), row_of(mailbox, uids[-1])),
        )
        yield from ((row[0] & 0xFFFFFFFF, row[1], row[2]) for row in rows if row[0] & 0xFFFFFFFF in wanted)
        return
    for uid in uids:
        query = f"SELECT {columns} FROM text WHERE message=?"  # noqa: S608 - one of three
        row = connection.execute(query, (row_of(mailbox, uid),)).fetchone()
        if row is not None:
            yield uid, row[0], row[1]


def _holds(head: bytes, body: bytes, criterion: InText | InBody | InField) -> bool:
    needle = criterion.needle.encode("utf-8")
    if isinstance(criterion, InField):
        name = (criterion.name + ": ").encode("utf-8")
        own = zlib.decompress(head).partition(b"\0\0")[0]
        return any(needle in piece[len(name) :] for piece in own.split(b"\0") if piece.startswith(name))
    return needle in zlib.decompress(body) or (isinstance(criterion, InText) and needle in zlib.decompress(head))
