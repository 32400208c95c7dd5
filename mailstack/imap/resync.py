"""What a client that was away must hear of: what vanished and which flags changed (RFC 7162 3.2.5, 3.2.6)."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap.responses import vanished
from mailstack.wire.imap.resync import Known
from mailstack.wire.imap.sequence import SequenceSet, gaps, runs

CHUNK = 1000  # messages, or lines, between two looks at the event loop
ALL = SequenceSet(((1, 0),))


async def resync(session: Session, selected: Selected, known: Known) -> None:
    """The answer to SELECT (QRESYNC ...), behind all that every SELECT shows."""
    mailbox = selected.mailbox
    if known.uid_validity != mailbox.uid_validity:
        return
    below = 0
    if known.numbers is not None and known.matching is not None:
        below = selected.known_up_to(known.numbers, known.matching)
    wanted = known.uids or ALL
    # A MODSEQ that this mailbox never reached is from a time before a backup came back: it says nothing.
    since = known.modseq if known.modseq <= mailbox.highest_modseq else 0
    await tell_vanished(session, selected, wanted, since, below)
    changed = changed_since(mailbox, wanted.uids(selected.uids), since)
    for first in range(0, len(changed), CHUNK):
        for line in selected.flag_lines(changed[first : first + CHUNK], uid=True):
            session.write(line)
        await session.connection.drain()
        await asyncio.sleep(0)


def changed_since(mailbox: Mailbox, uids: Sequence[int], since: int) -> list[int]:
    """Those of `uids` that are there and whose MODSEQ is higher."""
    if since >= mailbox.highest_modseq:
        return []
    modseqs = mailbox.modseqs
    if uids is mailbox.uids or (len(uids) == len(modseqs) and uids == mailbox.uids):
        return [uid for uid, modseq in zip(uids, modseqs, strict=True) if modseq > since]
    return [uid for uid in uids if (place := mailbox.position(uid)) is not None and modseqs[place] > since]


async def tell_vanished(session: Session, selected: Selected, wanted: SequenceSet, since: int, below: int = 0) -> None:
    """VANISHED (EARLIER): the UIDs of a set that went after a MODSEQ; those up to `below` the client knows of."""
    for line in vanished(_vanished(selected, wanted, since, below), earlier=True):
        session.write(line)
        await session.connection.drain()
        await asyncio.sleep(0)


def _vanished(selected: Selected, wanted: SequenceSet, since: int, below: int) -> Iterator[tuple[int, int]]:
    """What the client's view holds has not vanished: it hears of that without EARLIER (RFC 7162 3.2.10)."""
    view, buried = selected.uids, selected.mailbox.tombstones
    asked = wanted.within(selected.mailbox.uid_next - 1)
    if since >= buried.since:
        fresh = sorted(set(buried.uids[bisect_right(buried.modseqs, since) :]).difference(view))
        yield from runs(_inside(fresh, asked))
        return
    # The history does not reach back so far: every UID that is not there may have been there.
    for low, high in asked:
        yield from gaps(view, max(low, below + 1), high)


def _inside(uids: Sequence[int], ranges: list[tuple[int, int]]) -> array[int]:
    found = array("I")
    for low, high in ranges:
        found.extend(uids[bisect_right(uids, low - 1) : bisect_right(uids, high)])
    return found
