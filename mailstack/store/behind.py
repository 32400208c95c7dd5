"""Small facts that may be written a second later than they came true: together, in one flush, out of everybody's way."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from sqlalchemy import Connection

from mailstack.log import get_logger
from mailstack.store.database import Database
from mailstack.store.errors import StoreProblem

log = get_logger()
SECONDS = 1.0
WAITING = 100_000  # more are not kept: the disk has failed for a long time

Write = Callable[[Connection, list[Any]], None]


class WriteBehind:
    """On the event loop. A crash loses what a second held: only for what may be forgotten, or is safe elsewhere."""

    def __init__(self, database: Database, seconds: float = SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._waiting: dict[Hashable, tuple[Write, Any]] = {}
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def put(self, key: Hashable, write: Write, fact: Any) -> None:
        """Have `write(connection, facts)` run soon, with all its facts at once; one of the same key that waits is let go."""
        if key not in self._waiting and len(self._waiting) >= WAITING:
            return
        self._waiting.pop(key, None)
        self._waiting[key] = write, fact
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._soon())

    async def flush(self) -> None:
        """What was put before this is written when it returns, unless the disk failed: then it is tried again later."""
        async with self._turn:
            writes, self._waiting = self._waiting, {}
            if not writes:
                return
            try:
                await self._database.run(_write, list(writes.values()))
            except StoreProblem as problem:
                log.error("database.write_failed", waiting=len(writes), problem=problem.detail)
                self._waiting = writes | self._waiting

    async def _soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._seconds)
            await self.flush()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.flush()


def _write(connection: Connection, writes: list[tuple[Write, Any]]) -> None:
    facts: dict[Write, list[Any]] = {}
    for write, fact in writes:
        facts.setdefault(write, []).append(fact)
    for write, of_one in facts.items():
        write(connection, of_one)
