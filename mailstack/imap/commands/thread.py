"""THREAD (RFC 5256 3), from the references and orders that the mailbox keeps."""

import asyncio
from collections.abc import Callable, Sequence

from mailstack.imap.commands import results
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.message import forest as threads
from mailstack.store.mailbox.orders import in_pieces
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sort import Algorithm


async def thread(session: Session, command: c.Thread) -> str:
    selected = session.box
    found = await results.found(session, command.key)
    uids, forest = await _forest(selected, found, command.algorithm)
    shown = await results.numbers(selected, uids, uid=command.uid)
    pieces = [b"* THREAD"]
    if forest.roots:
        pieces.append(b" ")
    for piece in threads.write(forest, shown.__getitem__):
        pieces.append(piece)
        await asyncio.sleep(0)
    session.write(b"".join(pieces) + b"\r\n")
    return "THREAD done"


async def _forest(selected: Selected, found: list[int], algorithm: Algorithm) -> tuple[list[int], threads.Forest]:
    """The UIDs by their numbers in the forest."""
    orders = selected.mailbox.orders
    references, dates, subjects = await orders.references(selected.mailbox)
    positions = orders.positions(found)
    uids = [orders.uids[position] for position in positions]
    messages = threads.Messages(
        dates=await _unique(dates, positions),
        subjects=[subjects[position] for position in positions],
        replies=[references.replies[position] for position in positions],
        ids=[references.ids[position] for position in positions],
        references=lambda number: references.of(positions[number]),
    )
    steps = _algorithm(algorithm)(messages)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            forest: threads.Forest = done.value
            return uids, forest
        await asyncio.sleep(0)


def _algorithm(algorithm: Algorithm) -> Callable[[threads.Messages], threads.Steps]:
    match algorithm:
        case Algorithm.ORDEREDSUBJECT:
            return threads.ordered_subject
        case Algorithm.REFERENCES:
            return threads.references
        case Algorithm.REFS:
            return threads.refs


async def _unique(dates: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Each message's place by date; of equal dates the one that is earlier in the mailbox is earlier (RFC 5256 2.2)."""
    count = len(positions)
    found = [0] * count
    # One number holds date and position: it sorts quicker than a pair.
    packed = [dates[position] * count + number for number, position in enumerate(positions)]
    for place, one in enumerate(await in_pieces(packed)):
        found[one % count] = place
    return found
