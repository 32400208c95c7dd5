"""File operations of STORE, COPY, MOVE and EXPUNGE: promised by a commit, they trail behind it in order."""

import asyncio

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.facts import Operation
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.surroundings import Surroundings

log = get_logger()
MANY = 20_000


class Promises:
    """One account's."""

    def __init__(self, surroundings: Surroundings, maildir: Maildir) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._trailing: list[tuple[int, list[Operation]]] = []
        self._done: asyncio.Event | None = None  # while something trails: most accounts only wait
        self._worker: asyncio.Task[None] | None = None
        self.closed_row = 0  # the highest row of the journal whose operations are done

    @property
    def busy(self) -> bool:
        return bool(self._trailing)

    @property
    def many(self) -> bool:
        """Whether so much trails that others should wait for it."""
        return sum(len(operations) for _, operations in self._trailing) > MANY

    @property
    def all_kept(self) -> bool:
        return self._done is None

    async def settled(self) -> None:
        """Wait until all promised file operations are done."""
        if self._done is not None:
            await self._done.wait()

    def trail(self, row: int, operations: list[Operation]) -> None:
        """Promised by a row that is durable."""
        self._trailing.append((row, operations))
        if self._done is None:
            self._done = asyncio.Event()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._carry_out())

    async def _carry_out(self) -> None:
        """Do what was promised, in order, as often as it takes."""
        delay = 0.2
        while self._trailing:
            row, operations = self._trailing[0]
            try:
                await self._with.hop(self._maildir.carry_out, operations)
            except (OSError, StoreProblem) as problem:
                folder = str(self._maildir.root.parent)
                log.error("store.promise_delayed", folder=folder, row=row, problem=str(problem))
                await asyncio.sleep(delay)
                delay = min(30.0, delay * 2)
                continue
            del self._trailing[0]
            self.closed_row = row
        done, self._done = self._done, None
        if done is not None:
            done.set()
