"""THREAD (RFC 5256 3), from the references and orders that the mailbox keeps."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence

from mailstack.imap.commands import results
from mailstack.imap.commands.filters import expanded
from mailstack.imap.session import Session
from mailstack.message import forest as threads
from mailstack.store.mailbox.orders import AT_ONCE, References, in_pieces
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sort import Algorithm


async def thread(session: Session, command: c.Thread) -> str:
    selected = session.box
    found = array("I", await results.found(session, await expanded(session, command.key)))
    orders = selected.mailbox.orders
    # The threads of the same messages are the same; their numbers are, as long as the client's view is.
    key, seen = (command.algorithm, command.uid), None if command.uid else selected.uids
    known = await orders.references(selected.mailbox)
    remembered = orders.recall(key)
    if remembered is not None and remembered[:2] == (found, seen):
        session.write(remembered[2])
        return "THREAD done"
    uids = orders.uids
    positions = orders.positions(found, uids)
    forest = await _forest(known, positions, command.algorithm)
    shown = await results.numbers(selected, [uids[position] for position in positions], uid=command.uid)
    pieces = [b"* THREAD", b" " if forest.roots else b""]
    for piece in threads.write(forest, shown.__getitem__):
        pieces.append(piece)
        await asyncio.sleep(0)
    line = b"".join([*pieces, b"\r\n"])
    if uids is orders.uids:
        orders.remember(key, (found, seen, line))
    session.write(line)
    return "THREAD done"


async def _forest(
    known: tuple[References, Sequence[int], Sequence[int]], positions: Sequence[int], algorithm: Algorithm
) -> threads.Forest:
    """Its messages are numbered as the positions are."""
    references, dates, subjects = known
    messages = threads.Messages(
        dates=await _unique(dates, positions),
        subjects=await _chosen(subjects, positions),
        replies=await _chosen(references.replies, positions),
        ids=await _chosen(references.ids, positions),
        references=lambda number: references.of(positions[number]),
    )
    steps = _algorithm(algorithm)(messages)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            forest: threads.Forest = done.value
            return forest
        await asyncio.sleep(0)


def _algorithm(algorithm: Algorithm) -> Callable[[threads.Messages], threads.Steps]:
    match algorithm:
        case Algorithm.ORDEREDSUBJECT:
            return threads.ordered_subject
        case Algorithm.REFERENCES:
            return threads.references
        case Algorithm.REFS:
            return threads.refs


async def _chosen(column: Sequence[int], positions: Sequence[int]) -> Sequence[int]:
    if len(positions) == len(column):
        return column
    await asyncio.sleep(0)
    return [column[position] for position in positions]


async def _unique(dates: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Each message's place by date; of equal dates the one that is earlier in the mailbox is earlier (RFC 5256 2.2)."""
    count = len(positions)
    found = [0] * count
    # One number holds date and position: it sorts quicker than a pair.
    packed = [date * count + number for number, date in enumerate(await _chosen(dates, positions))]
    for place, one in enumerate(await in_pieces(packed)):
        found[one % count] = place
        if place % AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
