"""FETCH (RFC 9051 6.4.5, RFC 7162 3.1.4, RFC 3516)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

from mailstack.imap.answers import no
from mailstack.imap.commands.sections import UnknownEncoding, binary, pick, span
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.message.flag import Flags
from mailstack.message.mime import Part
from mailstack.store.mailbox.values import How
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.fetch import Attribute, BinarySection, BinarySize, Item, Kind, Section
from mailstack.wire.imap.responses import date_time, literal

CHUNK = 1000  # messages between two looks at the event loop
AT_ONCE = 1 << 20  # octets of messages in memory at once
SEEN = int(Flags.SEEN)


async def fetch(session: Session, command: c.Fetch) -> str:
    selected = session.box
    items = command.items
    if command.changed_since is not None or Attribute.MODSEQ in items:
        session.enabled |= {"CONDSTORE"}
        selected.condstore = True
    uids: Sequence[int] = selected.choose(command.set, uid=command.uid)
    mailbox = selected.mailbox
    if command.changed_since is not None:
        since = command.changed_since
        uids = [uid for uid in uids if (place := mailbox.position(uid)) is not None and mailbox.modseqs[place] > since]
        if Attribute.MODSEQ not in items:
            items = (*items, Attribute.MODSEQ)
    if command.uid and Attribute.UID not in items:
        items = (Attribute.UID, *items)
    if not selected.read_only and any(isinstance(item, Section | BinarySection) and not item.peek for item in items):
        unseen = [uid for uid in uids if (place := mailbox.position(uid)) is not None and not mailbox.flags[place] & SEEN]
        if unseen:
            stored = await mailbox.store(unseen, How.ADD, Flags.SEEN, origin=selected)
            selected.note_changed(stored.changed)
    simple = [item for item in items if isinstance(item, Attribute)]
    heavy: list[Item] = [item for item in items if not isinstance(item, Attribute)]
    if not heavy:
        for first in range(0, len(uids), CHUNK):
            await _attributes(session, selected, uids[first : first + CHUNK], simple)
        return "FETCH done"
    await _with_sections(session, selected, uids, simple, heavy)
    return "FETCH done"


async def _attributes(session: Session, selected: Selected, uids: Sequence[int], items: list[Attribute]) -> None:
    """Items that the store has ready, many messages in one write."""
    quick = _flags_only(selected, uids, items)
    if quick is not None:
        selected.told(tuple(uids))
        session.write(quick)
        await session.connection.drain()
        if len(uids) == CHUNK:
            await asyncio.sleep(0)
        return
    columns = await _columns(selected, uids, items)
    numbers = _numbers(selected, uids)
    if len(columns) == 1:
        lines = [
            b"* %d FETCH (%b)\r\n" % (number, one)
            for number, one in zip(numbers, columns[0], strict=True)
            if number and one is not None
        ]
    else:
        lines = [
            b"* %d FETCH (%b)\r\n" % (number, b" ".join(row))
            for number, row in zip(numbers, zip(*columns, strict=True), strict=True)
            if number and None not in row
        ]
    if Attribute.FLAGS in items:
        selected.told(tuple(uids))
    session.write(b"".join(lines))
    await session.connection.drain()
    if len(uids) == CHUNK:
        await asyncio.sleep(0)


def _flags_only(selected: Selected, uids: Sequence[int], items: list[Attribute]) -> bytes | None:
    """UID and FLAGS of neighbours: what every client asks for whole mailboxes. None where it is something else."""
    if items != [Attribute.UID, Attribute.FLAGS] or not uids:
        return None
    mailbox = selected.mailbox
    start, number = mailbox.position(uids[0]), selected.number(uids[0])
    end, last = mailbox.position(uids[-1]), selected.number(uids[-1])
    if start is None or end is None or number is None or last is None or end - start + 1 != len(uids):
        return None
    if last - number + 1 != len(uids) or selected.recent(uids[0]) != selected.recent(uids[-1]):
        return None
    flags = mailbox.flags[start : end + 1]
    recent = selected.recent(uids[0])
    names = {bits: selected.flag_names(bits, recent) for bits in set(flags)}
    return b"".join(
        [
            b"* %d FETCH (UID %d FLAGS %b)\r\n" % (place, uid, names[bits])
            for place, uid, bits in zip(count(number), uids, flags, strict=False)
        ]
    )


def _numbers(selected: Selected, uids: Sequence[int]) -> Sequence[int]:
    """Sequence numbers; a run of neighbours is counted, not searched."""
    if not uids:
        return ()
    first, last = selected.number(uids[0]), selected.number(uids[-1])
    if first is not None and last is not None and last - first + 1 == len(uids):
        return range(first, last + 1)
    return [selected.number(uid) or 0 for uid in uids]


async def _columns(selected: Selected, uids: Sequence[int], items: list[Attribute]) -> list[list[bytes | None]]:
    """One list an item, one value a message; None where the message is gone."""
    mailbox = selected.mailbox
    answers: dict[Attribute, dict[int, bytes]] = {}
    for item in items:
        if item is Attribute.ENVELOPE:
            answers[item] = await mailbox.envelopes(uids)
        elif item in (Attribute.BODYSTRUCTURE, Attribute.BODY):
            answers[item] = await mailbox.structures(uids, item is Attribute.BODYSTRUCTURE)
    # From here on nothing waits: positions stay true.
    places: Sequence[int | None]
    start = mailbox.position(uids[0]) if uids else None
    end = mailbox.position(uids[-1]) if uids else None
    if start is not None and end is not None and end - start + 1 == len(uids):
        places = range(start, end + 1)
    else:
        places = [mailbox.position(uid) for uid in uids]
    columns: list[list[bytes | None]] = []
    for item in items:
        if item is Attribute.UID:
            columns.append([b"UID %d" % uid for uid in uids])
        elif item in answers:
            found = answers[item].get
            name = item.value + b" "
            columns.append([None if (one := found(uid)) is None else name + one for uid in uids])
        else:
            columns.append([None if place is None else _value(selected, item)(place) for place in places])
    return columns


def _value(selected: Selected, item: Attribute) -> Callable[[int], bytes]:
    mailbox = selected.mailbox
    if item is Attribute.FLAGS:
        names, flags, uids, recent_from = selected.flag_names, mailbox.flags, mailbox.uids, selected.recent_from
        return lambda place: b"FLAGS " + names(flags[place], uids[place] >= recent_from)
    if item is Attribute.SIZE:
        sizes = mailbox.sizes
        return lambda place: b"RFC822.SIZE %d" % sizes[place]
    if item is Attribute.INTERNALDATE:
        dates = mailbox.dates
        return lambda place: b"INTERNALDATE " + date_time(dates[place])
    modseqs = mailbox.modseqs
    return lambda place: b"MODSEQ (%d)" % modseqs[place]


async def _with_sections(
    session: Session, selected: Selected, uids: Sequence[int], simple: list[Attribute], heavy: list[Item]
) -> None:
    """Items that need the messages' octets."""
    mailbox = selected.mailbox
    whole = all(isinstance(item, Section) and not item.parts and item.kind is Kind.WHOLE for item in heavy)
    header_only = all(
        isinstance(item, Section) and not item.parts and item.kind in (Kind.HEADER, Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT)
        for item in heavy
    )
    batch: list[int] = []
    octets = 0
    for uid in uids:
        place = mailbox.position(uid)
        if place is None:
            continue
        size = 2048 if header_only else mailbox.sizes[place]
        if batch and (octets + size > AT_ONCE or len(batch) >= 256):
            await _batch(session, selected, batch, simple, heavy, whole, header_only)
            batch, octets = [], 0
        if size > AT_ONCE:
            await _large(session, selected, uid, simple, heavy, whole)
            continue
        batch.append(uid)
        octets += size
    if batch:
        await _batch(session, selected, batch, simple, heavy, whole, header_only)


async def _batch(
    session: Session,
    selected: Selected,
    uids: list[int],
    simple: list[Attribute],
    heavy: list[Item],
    whole: bool,
    header_only: bool,
) -> None:
    """Some messages that fit into memory together, read in one hop."""
    mailbox = selected.mailbox
    datas = await (mailbox.headers(uids) if header_only else mailbox.read_many(uids))
    parts: dict[int, Part] = {}
    if not whole and not header_only:
        parts = await mailbox.parts(uids)
    present = [uid for uid in uids if uid in datas and (whole or header_only or uid in parts)]
    columns = await _columns(selected, present, simple)
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(present)
    for uid, row in zip(present, rows, strict=True):
        number = selected.number(uid)
        if number is None or None in row:
            continue
        data = datas[uid]
        pieces: list[bytes] = [one for one in row if one is not None]
        for item in heavy:
            pieces.append(_item(item, data, parts.get(uid), header_only))
        session.write(b"* %d FETCH (%b)\r\n" % (number, b" ".join(pieces)))
    if Attribute.FLAGS in simple:
        selected.told(tuple(present))
    await session.connection.drain()


def _item(item: Item, data: bytes, part: Part | None, header_only: bool) -> bytes:
    if isinstance(item, Section):
        found = data if item.kind is Kind.WHOLE and not item.parts else pick(item, data, part, header_only)
        if found is None:
            return item.label + b" NIL"
        if item.start is not None:
            found = found[item.start : item.start + (item.length or 0)]
        return item.label + b" " + literal(found)
    assert part is not None
    try:
        if isinstance(item, BinarySize):
            return item.label + b" %d" % len(binary(item.parts, data, part) or b"")
        assert isinstance(item, BinarySection)
        found = binary(item.parts, data, part)
    except UnknownEncoding:
        raise no("A part's encoding is not known", "UNKNOWN-CTE") from None
    if found is None:
        return item.label + b" NIL"
    if item.start is not None:
        found = found[item.start : item.start + (item.length or 0)]
    if b"\0" in found:
        return item.label + b" ~{%d}\r\n" % len(found) + found
    return item.label + b" " + literal(found)


async def _large(
    session: Session, selected: Selected, uid: int, simple: list[Attribute], heavy: list[Item], whole: bool
) -> None:
    """A message that is sent block by block."""
    mailbox = selected.mailbox
    tree: Part | None = None
    if not whole:
        tree = (await mailbox.parts([uid])).get(uid)
        if tree is None:
            return
    columns = await _columns(selected, [uid], simple)
    number, place = selected.number(uid), mailbox.position(uid)
    if number is None or place is None or any(column[0] is None for column in columns):
        return
    session.write(b"* %d FETCH (" % number)
    pieces = [column[0] or b"" for column in columns]
    separator = b""
    if pieces:
        session.write(b" ".join(pieces))
        separator = b" "
    for item in heavy:
        session.write(separator)
        separator = b" "
        octets = (0, mailbox.sizes[place])
        if isinstance(item, Section) and not (item.kind is Kind.WHOLE and not item.parts):
            found = span(item, tree) if tree is not None else None
            if found is None:
                header = await mailbox.read(uid, tree.start, tree.body - tree.start) if tree is not None else b""
                session.write(_item(item, header, tree, header_only=not item.parts))
                continue
            octets = found
        if not isinstance(item, Section):
            data = await mailbox.read(uid)
            session.write(_item(item, data, tree, header_only=False))
            continue
        start, end = octets
        if item.start is not None:
            start = min(end, start + item.start)
            end = min(end, start + (item.length or 0))
        session.write(item.label + b" {%d}\r\n" % (end - start))
        sent = 0
        async for block in mailbox.blocks(uid, start, end - start):
            session.write(block)
            sent += len(block)
            session.connection.flush()
            await session.connection.drain()
        if sent != end - start:
            # The literal can't be completed: the client must not take what follows for it.
            session.connection.abort()
            raise ConnectionResetError
    session.write(b")\r\n")
    if Attribute.FLAGS in simple:
        selected.told((uid,))
    await session.connection.drain()
