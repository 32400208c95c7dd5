"""FETCH (RFC 9051 6.4.5, RFC 7162 3.1.4, RFC 3516, RFC 8474 5, RFC 8514 4, RFC 8970, RFC 9394 3.3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.large import pieces_of, send
from mailstack.imap.commands.rows import RowItems, prepared, row_items, row_lines
from mailstack.imap.commands.sections import Span, from_header, of_header, shown, stretch
from mailstack.imap.happening import after_flags, flags_before
from mailstack.imap.limiting import last_of
from mailstack.imap.resync import changed_since, tell_vanished
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.log import get_logger
from mailstack.message.flag import Flags
from mailstack.message.mime import Part
from mailstack.message.transfer import UnknownEncoding
from mailstack.policy.rights import Rights
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import How
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.fetch import Attribute, BinarySection, Item, Kind, Section
from mailstack.wire.imap.responses import date_time

log = get_logger()
CHUNK = 1000  # messages between two looks at the event loop
ROWS_AT_ONCE = 256
AT_ONCE = 1 << 20  # octets of messages in memory at once
HEADERS_AT_ONCE = 256
TREES_AT_ONCE = 256
DECODE_IN_THREAD = 65536  # octets of a part from which on its transfer encoding is undone in a thread
SEEN = int(Flags.SEEN)


async def fetch(session: Session, command: c.Fetch) -> str:
    selected = session.box
    items = command.items
    if command.vanished and not selected.qresync:
        raise bad("ENABLE QRESYNC comes first")
    if command.changed_since is not None or Attribute.MODSEQ in items:
        session.enable_condstore()
    uids: Sequence[int] = selected.choose(command.set, uid=command.uid)
    limit = session.services.message_limit
    if command.partial is not None:
        if limit is not None and command.partial.count > limit:
            raise no("That range has too many messages", f"MESSAGELIMIT {limit}")
        uids = command.partial.of(uids)  # first these, then what of them changed (RFC 9394 3.4)
    uids, code = last_of(uids, limit)
    mailbox = selected.mailbox
    if command.changed_since is not None:
        since = command.changed_since
        if command.vanished:
            await tell_vanished(session, selected, command.set, since)
        uids = changed_since(mailbox, uids, since)
        if Attribute.MODSEQ not in items:
            items = (*items, Attribute.MODSEQ)
    if command.uid and Attribute.UID not in items and not selected.uid_only:
        items = (Attribute.UID, *items)
    reads = any(_is_body(item) for item in items)
    may_mark = not selected.read_only and Rights.SEEN in selected.rights
    marks = may_mark and any(isinstance(item, Section | BinarySection) and not item.peek for item in items)
    before: dict[int, int] | None = None
    marked: tuple[int, ...] = ()
    if reads or marks:
        unseen: list[int] = []
        for first in range(0, len(uids), CHUNK):
            if first:
                await asyncio.sleep(0)
            some = _unseen(mailbox, uids[first : first + CHUNK])
            if reads:
                _note_fetched(session, mailbox, some)
            unseen += some
        if marks and unseen:
            before = await flags_before(session, unseen)
            stored = await mailbox.store(unseen, How.ADD, Flags.SEEN, origin=selected)
            selected.note_changed(stored.changed)
            marked = stored.changed
    await tell(session, selected, uids, items)
    await after_flags(session, marked, before)
    return "FETCH done" if code is None else f"[{code}] FETCH done for the last messages"


async def tell(session: Session, selected: Selected, uids: Sequence[int], items: Sequence[Item]) -> None:
    """FETCH responses, also for what nobody asked for just now (RFC 5465 5.2)."""
    rows = row_items(items) if not selected.uid_only else None
    if rows is not None:
        async with prepared(selected.mailbox, uids, rows):
            for first in range(0, len(uids), ROWS_AT_ONCE):
                session.progress.count(first, len(uids))
                await _rows(session, selected, uids[first : first + ROWS_AT_ONCE], rows)
        return
    simple = [item for item in items if isinstance(item, Attribute)]
    heavy: list[Item] = [item for item in items if not isinstance(item, Attribute)]
    if heavy:
        await _with_sections(session, selected, uids, simple, heavy)
        return
    for first in range(0, len(uids), CHUNK):
        session.progress.count(first, len(uids))
        await _attributes(session, selected, uids[first : first + CHUNK], simple)


def _is_body(item: Item) -> bool:
    if isinstance(item, Section):
        return item.kind in (Kind.WHOLE, Kind.TEXT)
    return isinstance(item, BinarySection)


def _unseen(mailbox: Mailbox, uids: Sequence[int]) -> list[int]:
    flags = mailbox.flags
    return [uid for uid in uids if (place := mailbox.position(uid)) is not None and not flags[place] & SEEN]


def _note_fetched(session: Session, mailbox: Mailbox, unseen: Sequence[int]) -> None:
    """The last stop on a delivery's way. What was seen was fetched before: it is not looked at again."""
    place = session.box.place
    account = place.access.owner.record.address if place is not None and place.access is not None else session.known.address
    for uid in unseen:
        id = session.services.trace.first_fetch(mailbox.email_id(uid), account, "imap", session.client)
        if id is not None:
            log.info("message.fetched", id=id, account=account, session=session.id)


async def _rows(session: Session, selected: Selected, uids: Sequence[int], items: RowItems) -> None:
    """What is kept as rows, many messages in one write."""
    session.write(await row_lines(selected, uids, items))
    if Attribute.FLAGS in items.varying:
        selected.told(tuple(uids))
    await session.connection.drain()
    if len(uids) == ROWS_AT_ONCE:
        await asyncio.sleep(0)


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
    numbers = selected.labels(uids)
    form = b"* %d " + selected.fetch_word + b" (%b)\r\n"
    if len(columns) == 1:
        lines = [form % (number, one) for number, one in zip(numbers, columns[0], strict=True) if number and one is not None]
    else:
        lines = [
            form % (number, b" ".join(row))
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
    if items != [Attribute.UID, Attribute.FLAGS] or not uids or selected.uid_only:
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
    flag_names = selected.flag_names
    # A change of flags has a MODSEQ above all others; so has a message that comes in between.
    sign = (
        b"%d %d %d %d " % (uids[0], len(uids), number, max(mailbox.modseqs[start : end + 1]))
        + repr(flag_names.keywords).encode()
    )
    kept = mailbox.made("recent flags" if recent else "flags", number)
    if kept.get(0) == sign:
        return kept[1]
    names = {bits: flag_names(bits, recent) for bits in set(flags)}
    text = b"".join(
        [
            b"* %d FETCH (UID %d FLAGS %b)\r\n" % (place, uid, names[bits])
            for place, uid, bits in zip(count(number), uids, flags, strict=False)
        ]
    )
    if len(uids) == CHUNK:
        mailbox.keep_made("recent flags" if recent else "flags", number, {0: sign, 1: text})
    return text


async def _columns(selected: Selected, uids: Sequence[int], items: list[Attribute]) -> list[list[bytes | None]]:
    """One list an item, one value a message; None where the message is gone."""
    mailbox = selected.mailbox
    answers: dict[Attribute, dict[int, bytes]] = {}
    for item in items:
        if item is Attribute.ENVELOPE:
            answers[item] = await mailbox.envelopes(uids)
        elif item in (Attribute.BODYSTRUCTURE, Attribute.BODY):
            answers[item] = await mailbox.structures(uids, item is Attribute.BODYSTRUCTURE)
        elif item is Attribute.THREADID:
            answers[item] = {uid: b"(%b)" % id for uid, id in (await mailbox.thread_ids(uids)).items()}
        elif item is Attribute.PREVIEW:
            answers[item] = await mailbox.previews(uids)
        elif item is Attribute.PREVIEW_LAZY:
            # RFC 8970 3.2: NIL where there is none at hand.
            answers[item] = dict.fromkeys(uids, b"NIL") | await mailbox.previews(uids, lazy=True)
    # From here on nothing waits: positions stay true.
    places = mailbox.places(uids)
    columns: list[list[bytes | None]] = []
    for item in items:
        if item is Attribute.UID:
            columns.append([b"UID %d" % uid for uid in uids])
        elif item in answers:
            found = answers[item].get
            name = b"PREVIEW " if item is Attribute.PREVIEW_LAZY else item.value + b" "
            columns.append([None if (one := found(uid)) is None else name + one for uid in uids])
        else:
            value = _value(selected, item)
            columns.append([None if place is None else value(place) for place in places])
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
    if item is Attribute.EMAILID:
        object_id = mailbox.object_id
        return lambda place: b"EMAILID (%b)" % object_id(place)
    if item is Attribute.SAVEDATE:
        saved = mailbox.save_dates
        return lambda place: b"SAVEDATE " + (date_time(saved[place]) if saved[place] else b"NIL")
    modseqs = mailbox.modseqs
    return lambda place: b"MODSEQ (%d)" % modseqs[place]


async def _with_sections(
    session: Session, selected: Selected, uids: Sequence[int], simple: list[Attribute], heavy: list[Item]
) -> None:
    """Items that need the messages' octets: of each message those are read that the items show, and no others."""
    mailbox = selected.mailbox
    if all(isinstance(item, Section) and of_header(item) for item in heavy):
        for first in range(0, len(uids), HEADERS_AT_ONCE):
            session.progress.count(first, len(uids))
            some = uids[first : first + HEADERS_AT_ONCE]
            headers = await mailbox.headers(some)
            rows = [(uid, [from_header(item, headers[uid]) for item in heavy]) for uid in some if uid in headers]
            await _write(session, selected, rows, simple)
        return
    async with contextlib.aclosing(_read_ahead(mailbox, _batches(session, selected, uids, heavy))) as batches:
        async for batch, read in batches:
            if read is not None:
                await _send_batch(session, selected, batch, read, simple, heavy)
                continue
            ((uid, spans),) = batch.messages
            await _large(session, selected, uid, spans, batch.trees.get(uid), simple, heavy)


@dataclass(slots=True)
class Batch:
    """Messages whose octets fit into memory together, or one that does not fit."""

    trees: dict[int, Part]
    messages: list[tuple[int, list[Span | None]]] = field(default_factory=list)
    octets: int = 0

    @property
    def wanted(self) -> list[tuple[int, int, int]]:
        return [(uid, one[0], one[1] - one[0]) for uid, spans in self.messages for one in spans if one]


async def _batches(session: Session, selected: Selected, uids: Sequence[int], heavy: list[Item]) -> AsyncIterator[Batch]:
    mailbox = selected.mailbox
    whole = all(isinstance(item, Section) and item.kind is Kind.WHOLE and not item.parts for item in heavy)
    for first in range(0, len(uids), TREES_AT_ONCE):
        session.progress.count(first, len(uids))
        some = uids[first : first + TREES_AT_ONCE]
        trees = {} if whole else await mailbox.parts(some)
        batch = Batch(trees)
        for uid in some:
            place = mailbox.position(uid)
            if place is None or not (whole or uid in trees):
                continue
            spans = [stretch(item, trees.get(uid), mailbox.sizes[place]) for item in heavy]
            size = sum(found[1] - found[0] for found in spans if found is not None)
            if batch.messages and batch.octets + size > AT_ONCE:
                yield batch
                batch = Batch(trees)
            batch.messages.append((uid, spans))
            batch.octets += size
        if batch.messages:
            yield batch


async def _read_ahead(
    mailbox: Mailbox, batches: AsyncIterator[Batch]
) -> AsyncGenerator[tuple[Batch, list[bytes | None] | None], None]:
    """Each with what was read of it in one hop (None of one that is too large): the next one is read while it is sent."""
    before: tuple[Batch, asyncio.Task[list[bytes | None]] | None] | None = None
    try:
        async for batch in batches:
            fits = batch.octets <= AT_ONCE
            after = batch, asyncio.create_task(mailbox.read_spans(batch.wanted)) if fits else None
            before, this = after, before
            if this is not None:
                yield this[0], await this[1] if this[1] is not None else None
        if before is not None:
            yield before[0], await before[1] if before[1] is not None else None
    finally:
        if before is not None and before[1] is not None and not before[1].done():
            before[1].cancel()


async def _send_batch(
    session: Session,
    selected: Selected,
    batch: Batch,
    read: list[bytes | None],
    simple: list[Attribute],
    heavy: list[Item],
) -> None:
    rows: list[tuple[int, list[bytes]]] = []
    place = 0
    for uid, spans in batch.messages:
        datas = [None if one is None else read[(place := place + 1) - 1] for one in spans]
        if all(data is not None or one is None for data, one in zip(datas, spans, strict=True)):
            tree = batch.trees.get(uid)
            pieces = [
                shown(item, data, tree) if isinstance(item, Section) else await _shown(item, data, tree)
                for item, data in zip(heavy, datas, strict=True)
            ]
            rows.append((uid, pieces))
    await _write(session, selected, rows, simple)


async def _write(session: Session, selected: Selected, rows: list[tuple[int, list[bytes]]], simple: list[Attribute]) -> None:
    """FETCH responses: the items that the store has ready, and before them the others, made already."""
    uids = [uid for uid, _ in rows]
    columns = await _columns(selected, uids, simple)
    ready: Sequence[Sequence[bytes | None]] = list(zip(*columns, strict=True)) if columns else [()] * len(uids)
    for (uid, pieces), row in zip(rows, ready, strict=True):
        number = selected.label(uid)
        if number is not None and None not in row:
            session.write(b"* %d %b (" % (number, selected.fetch_word))
            separator = b""
            for piece in (*row, *pieces):  # large ones are gathered as they are, not copied into a line
                session.write(separator)
                session.write(piece or b"")
                separator = b" "
            session.write(b")\r\n")
    if Attribute.FLAGS in simple:
        selected.told(tuple(uids))
    await session.connection.drain()


async def _shown(item: Item, data: bytes | None, tree: Part | None) -> bytes:
    try:
        if isinstance(item, Section) or data is None or len(data) < DECODE_IN_THREAD:
            return shown(item, data, tree)
        return await asyncio.to_thread(shown, item, data, tree)
    except UnknownEncoding:
        raise no("A part's encoding is not known", "UNKNOWN-CTE") from None


async def _large(
    session: Session,
    selected: Selected,
    uid: int,
    spans: list[Span | None],
    tree: Part | None,
    simple: list[Attribute],
    heavy: list[Item],
) -> None:
    """A message that is sent block by block."""
    pieces = await pieces_of(selected.mailbox, uid, spans, tree, heavy)
    columns = await _columns(selected, [uid], simple)
    number = selected.label(uid)
    if number is None or any(column[0] is None for column in columns):
        return
    session.progress.whole_lines = False
    session.write(b"* %d %b (" % (number, selected.fetch_word) + b" ".join([column[0] or b"" for column in columns]))
    await send(session, selected.mailbox, uid, pieces, b" " if columns else b"")
    session.write(b")\r\n")
    session.progress.whole_lines = True
    if Attribute.FLAGS in simple:
        selected.told((uid,))
    await session.connection.drain()
