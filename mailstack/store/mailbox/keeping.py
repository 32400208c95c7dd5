"""Kept answers go to the index some time soon: their loss costs time only."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from itertools import islice

from mailstack.store.mailbox import answers
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.surroundings import Surroundings

LATER = 0.25  # seconds
MANY = 64  # packs that wait for no longer
TOGETHER = 8  # packs in one commit


class AnswerKeeper:
    """One account's."""

    def __init__(self, surroundings: Surroundings, journal: Journal, packs: answers.AccountAnswers) -> None:
        self._with = surroundings
        self._journal = journal
        self._packs = packs
        self._writing: Sequence[tuple[str, str, int]] = ()
        self._now: asyncio.Event | None = None  # while a worker waits for more
        self._waiting: dict[tuple[str, str, int], None] = {}  # a set that costs little while it is empty
        self._worker: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._worker is not None and not self._worker.done()

    def keep(self, mailbox: str, kind: str, number: int) -> None:
        """Write a pack of answers to the index."""
        self._waiting[mailbox, kind, number] = None
        if self._worker is None or self._worker.done():
            self._now = asyncio.Event()
            self._worker = asyncio.create_task(self._keep(self._now))
        if len(self._waiting) >= MANY and self._now is not None:
            self._now.set()

    def waits(self, mailbox: str, kind: str, number: int) -> bool:
        """Whether a pack is not in the index yet."""
        return (mailbox, kind, number) in self._waiting or (mailbox, kind, number) in self._writing

    async def _keep(self, now: asyncio.Event) -> None:
        # A client waits for its answers, not for this.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(now.wait(), LATER)
        self._now = None
        while self._waiting:
            self._writing = tuple(islice(self._waiting, TOGETHER))
            for pack_of in self._writing:
                del self._waiting[pack_of]
            groups: dict[tuple[str, str], dict[int, dict[int, bytes]]] = {}
            for mailbox, kind, number in self._writing:
                pack = self._packs.get(mailbox, kind, number)
                if pack:
                    groups.setdefault((mailbox, kind), {})[number] = pack
            with contextlib.suppress(sqlite3.Error, OSError):
                await self._with.hop(self._write, groups)
            self._writing = ()

    def _write(self, groups: dict[tuple[str, str], dict[int, dict[int, bytes]]]) -> None:
        """In a thread; packs are replaced, never changed."""
        for (mailbox, kind), packs in groups.items():
            self._journal.index.cache(mailbox, kind, {number: answers.dump(pack) for number, pack in packs.items()})

    async def settled(self) -> None:
        if self._now is not None:
            self._now.set()
        if self._worker is not None:
            await self._worker
