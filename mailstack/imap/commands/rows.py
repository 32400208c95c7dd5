"""FETCH of what never changes (ENVELOPE, BODYSTRUCTURE, header fields, dates, sizes): a message's answer is kept as one row.

Only its number, its flags and its MODSEQ are put to it when it is sent.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from mailstack.imap.commands.sections import from_header, of_header
from mailstack.imap.selected import Selected
from mailstack.message.header import KEPT_FIELDS
from mailstack.store.mailbox import answers
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap.fetch import Attribute, Item, Kind, Section
from mailstack.wire.imap.responses import date_time

_ANSWERS = frozenset((Attribute.ENVELOPE, Attribute.BODYSTRUCTURE, Attribute.BODY))
_LASTING = _ANSWERS | {Attribute.UID, Attribute.INTERNALDATE, Attribute.SIZE}
_SOURCES = (answers.ENVELOPE, answers.STRUCTURE, answers.BODY, answers.FIELDS)
_VARYING = frozenset((Attribute.FLAGS, Attribute.MODSEQ))


@dataclass(frozen=True, slots=True)
class RowItems:
    """The items of a FETCH whose answers are rows."""

    lasting: tuple[Attribute | Section, ...]
    varying: tuple[Attribute, ...]
    varying_first: bool  # as the client asked

    @property
    def source(self) -> str | None:
        """The kind of kept answers that takes longest to make; None where whole headers are read."""
        if Attribute.BODYSTRUCTURE in self.lasting:
            return answers.STRUCTURE
        if Attribute.ENVELOPE in self.lasting:
            return answers.ENVELOPE
        kept = any(isinstance(one, Section) and KEPT_FIELDS.issuperset(one.names) for one in self.lasting)
        return answers.FIELDS if kept else None

    @property
    def key(self) -> str:
        """Names the rows in the cache."""
        return "row " + " ".join((one.value if isinstance(one, Attribute) else one.label).decode() for one in self.lasting)


def row_items(items: Sequence[Item]) -> RowItems | None:
    """How to answer a FETCH by rows; None where it asks for something else, or for nothing that is worth a row."""
    lasting: list[Attribute | Section] = []
    varying: list[Attribute] = []
    for item in items:
        if _lasts(item):
            lasting.append(item)
        elif isinstance(item, Attribute) and item in _VARYING:
            varying.append(item)
        else:
            return None
    if not any(isinstance(item, Section) or item in _ANSWERS for item in lasting):
        return None
    first = items[0] in _VARYING
    if len(items) > 2 and items[0] is Attribute.UID and items[1] in _VARYING:
        # What most clients ask for; UID keeps its place.
        first = True
        lasting.remove(Attribute.UID)
        varying.insert(0, Attribute.UID)
    return RowItems(tuple(lasting), tuple(varying), first)


def _lasts(item: Item) -> TypeGuard[Attribute | Section]:
    if isinstance(item, Section):
        return of_header(item) and item.kind is Kind.HEADER_FIELDS and item.start is None
    return isinstance(item, Attribute) and item in _LASTING


@contextlib.asynccontextmanager
async def prepared(mailbox: Mailbox, uids: Sequence[int], items: RowItems) -> AsyncIterator[None]:
    """While the rows of all these messages are asked for in turn: those that were never made are made by more than one."""
    numbers = [number for number, _ in mailbox.by_pack(uids) if not mailbox.made(items.key, number)]
    if items.source is None or len(numbers) < 2:
        yield
        return
    async with mailbox.ahead(items.source, numbers, uids):
        yield


async def row_lines(selected: Selected, uids: Sequence[int], items: RowItems) -> bytes:
    """The FETCH responses for messages, ready to send; those that are gone are left out."""
    rows = await _rows(selected.mailbox, uids, items)
    # From here on nothing waits: positions stay true.
    numbers = selected.numbers(uids)
    places = selected.mailbox.places(uids)
    if not items.varying:
        return b"".join(
            [
                b"* %d FETCH (%b)\r\n" % (number, row)
                for number, place, row in zip(numbers, places, rows, strict=True)
                if number and place is not None and row is not None
            ]
        )
    more = _varying(selected, places, items.varying)
    return b"".join(
        [
            b"* %d FETCH (%b %b)\r\n" % (number, one, other)
            for number, one, other in zip(numbers, *((more, rows) if items.varying_first else (rows, more)), strict=True)
            if number and one is not None and other is not None
        ]
    )


def _varying(selected: Selected, places: Sequence[int | None], items: tuple[Attribute, ...]) -> Sequence[bytes | None]:
    """What is put to each row; None where the message is gone."""
    mailbox = selected.mailbox
    uids, flags, modseqs, names = mailbox.uids, mailbox.flags, mailbox.modseqs, selected.flag_names
    columns: list[list[bytes | None]] = []
    for item in items:
        if item is Attribute.UID:
            columns.append([None if place is None else b"UID %d" % uids[place] for place in places])
            continue
        if item is Attribute.MODSEQ:
            columns.append([None if place is None else b"MODSEQ (%d)" % modseqs[place] for place in places])
            continue
        news = bisect_left(uids, selected.recent_from)
        old = {bits: b"FLAGS " + names(bits) for bits in {flags[place] for place in places if place is not None}}
        columns.append(
            [
                None if place is None else old[flags[place]] if place < news else b"FLAGS " + names(flags[place], True)
                for place in places
            ]
        )
    if len(columns) == 1:
        return columns[0]
    return [None if None in row else b" ".join(row) for row in zip(*columns, strict=True)]


async def _rows(mailbox: Mailbox, uids: Sequence[int], items: RowItems) -> list[bytes | None]:
    """One for each UID, from the cache or made now."""
    key = items.key
    rows: list[bytes | None] = []
    for number, some in mailbox.by_pack(uids):
        pack = mailbox.made(key, number)
        missing = [uid for uid in some if uid not in pack]
        if missing:
            pack = pack | await _make(mailbox, missing, items)
            mailbox.keep_made(key, number, pack, instead_of=_SOURCES)
        rows += map(pack.get, some)
    return rows


async def _make(mailbox: Mailbox, uids: Sequence[int], items: RowItems) -> dict[int, bytes]:
    columns: list[dict[int, bytes]] = []
    for item in items.lasting:
        if isinstance(item, Section):
            headers = await _headers(mailbox, uids, item)
            columns.append({uid: from_header(item, header) for uid, header in headers.items()})
        elif item is Attribute.ENVELOPE:
            columns.append(_named(item, await mailbox.envelopes(uids)))
        elif item in _ANSWERS:
            columns.append(_named(item, await mailbox.structures(uids, item is Attribute.BODYSTRUCTURE)))
        else:
            columns.append(_of_state(mailbox, uids, item))
    return {uid: b" ".join([column[uid] for column in columns]) for uid in uids if all(uid in column for column in columns)}


async def _headers(mailbox: Mailbox, uids: Sequence[int], item: Section) -> dict[int, bytes]:
    """Header enough for the asked fields: what is kept of it, or the whole where a client asks for what few ask for."""
    if KEPT_FIELDS.issuperset(item.names):
        return await mailbox.kept_fields(uids)
    return await mailbox.headers(uids)


def _named(item: Attribute, values: dict[int, bytes]) -> dict[int, bytes]:
    name = item.value + b" "
    return {uid: name + value for uid, value in values.items()}


def _of_state(mailbox: Mailbox, uids: Sequence[int], item: Attribute) -> dict[int, bytes]:
    found = {}
    for uid, place in zip(uids, mailbox.places(uids), strict=True):
        if place is None:
            continue
        if item is Attribute.UID:
            found[uid] = b"UID %d" % uid
        elif item is Attribute.SIZE:
            found[uid] = b"RFC822.SIZE %d" % mailbox.sizes[place]
        else:
            found[uid] = b"INTERNALDATE " + date_time(mailbox.dates[place])
    return found
