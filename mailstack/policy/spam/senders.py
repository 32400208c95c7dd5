"""What accounts know of senders, on its way to their files: seen at once, written a few seconds later."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mailstack.log import get_logger
from mailstack.policy.spam.reputation import FORGET_AFTER, Record
from mailstack.store.errors import StoreFailed
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.learned.file import LearnedFile
from mailstack.store.tasks import ended

SECONDS = 5.0
WAITING = 20_000  # names; more are not kept: the disk has failed for a long time
log = get_logger()
Rows = Mapping[str, tuple[float, float, float, float]]


class Senders:
    """On the event loop. A crash loses the last seconds of what was only seen; what people say is written at once."""

    def __init__(self, door: LearnedDoor, clock: Callable[[], float]) -> None:
        self._door = door
        self._clock = clock
        self._waiting: dict[Path, dict[str, Record]] = {}
        self._task: asyncio.Task[None] | None = None

    def count(self, folder: Path, names: Iterable[str], *, good: float = 0.0, junk: float = 0.0, wrote: float = 0.0) -> None:
        """Something was seen of these names."""
        now = self._clock()
        mine = self._waiting.setdefault(folder, {})
        if sum(map(len, self._waiting.values())) >= WAITING:
            return
        for name in names:
            mine[name] = mine.get(name, Record(time=now)).plus(Record(good, junk, wrote), now)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._soon())

    def records(self, folder: Path, rows: Rows | None, names: Iterable[str]) -> dict[str, Record]:
        """What is known of names: the rows of the file, and what is still on its way there."""
        now = self._clock()
        found = {name: Record(*row).at(now) for name, row in (rows or {}).items()}
        for name in names:
            waiting = self._waiting.get(folder, {}).get(name)
            if waiting is not None:
                found[name] = found.get(name, Record(time=now)).plus(waiting, now)
        return found

    async def _soon(self) -> None:
        while any(self._waiting.values()):
            await asyncio.sleep(SECONDS)
            await self.flush()

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for folder, records in waiting.items():
            if not records or not folder.exists():
                continue
            with contextlib.suppress(StoreFailed, OSError):
                await self._door.run(folder, _write, records, self._clock())

    async def close(self) -> None:
        await ended(self._task)
        await self.flush()


def _write(file: LearnedFile, records: Mapping[str, Record], now: float) -> None:
    old = file.senders(list(records))
    new = {name: Record(*old.get(name, (0.0, 0.0, 0.0, now))).plus(record, now) for name, record in records.items()}
    file.put_senders([(name, one.good, one.junk, one.wrote, one.time) for name, one in new.items()], now - FORGET_AFTER)
