"""Kept answers go to the index some time soon: their loss costs time only."""

import asyncio
import contextlib
import sqlite3

from mailstack.store.mailbox import answers
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.surroundings import Surroundings


class AnswerKeeper:
    """One account's."""

    def __init__(self, surroundings: Surroundings, journal: Journal, packs: answers.AccountAnswers) -> None:
        self._with = surroundings
        self._journal = journal
        self._packs = packs
        self._waiting: set[tuple[str, str, int]] = set()
        self._worker: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def keep(self, mailbox: str, kind: str, number: int) -> None:
        """Write a pack of answers to the index."""
        self._waiting.add((mailbox, kind, number))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while self._waiting:
            mailbox, kind, number = self._waiting.pop()
            pack = self._packs.get(mailbox, kind, number)
            if pack:
                with contextlib.suppress(sqlite3.Error, OSError):
                    await self._with.hop(self._journal.index.cache, mailbox, kind, {number: answers.dump(pack)})

    async def settled(self) -> None:
        if self._worker is not None:
            await self._worker
