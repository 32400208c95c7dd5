"""What is done once a day, some hours after midnight UTC, and what is written down meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended
from mailstack.store.transport import DAY

log = get_logger()
LOOK_SECONDS = 600.0
SPREAD = 4 * 3600  # seconds after midnight within which reports leave (RFC 8460 4.1)


class Daily:
    """start(), then stop(). `often`: every ten minutes; `days`: also, once the day's moment has come."""

    def __init__(
        self,
        often: Sequence[Callable[[], Awaitable[None]]],
        days: Sequence[Callable[[], Awaitable[int]]],
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._often = often
        self.days = days
        self._clock = clock
        self._offset = randomness.random() * SPREAD
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for work in (*self._often, *(self.days if self._clock() % DAY >= self._offset else ())):
                try:
                    await work()
                except StoreProblem as problem:
                    log.error("daily.store_failed", problem=problem.detail)
                except Exception:
                    log.exception("daily.failed")
