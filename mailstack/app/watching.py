"""What an admin must hear of before users do: looked at again and again, told once, and again a day later if it stays so."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem
from mailstack.store.queue.queue import Queue
from mailstack.store.tasks import ended

log = get_logger()
LOOK_SECONDS = 60.0
AGAIN_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """When something is told: octets and share of the disk that are free, the age in seconds of the oldest message."""

    disk_free: int
    disk_share: float
    queue_age: float
    queue_length: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """`key` tells one from another; the subject and the text are for the postmaster."""

    key: str
    subject: str
    text: str


class Watching:
    """start(), then stop(). `tell` sends a notice; `others` give troubles that somebody else knows of."""

    def __init__(
        self,
        settings: WatchSettings,
        queue: Queue,
        folder: Path,
        clock: Callable[[], float],
        tell: Callable[[Trouble], Awaitable[None]],
        others: Callable[[], list[Trouble]],
    ) -> None:
        self.settings = settings
        self._queue = queue
        self._folder = folder
        self._clock = clock
        self._tell = tell
        self._others = others
        self._told: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def open(self) -> list[str]:
        """The keys of what is not well now."""
        return sorted(self._told)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Once."""
        found = [one for one in (await asyncio.to_thread(self._disk), self._waiting()) if one is not None]
        found += self._others()
        now = self._clock()
        for key in self._told.keys() - {one.key for one in found}:
            del self._told[key]
            log.info("trouble.over", key=key)
        for trouble in found:
            if now - self._told.get(trouble.key, -AGAIN_SECONDS) < AGAIN_SECONDS:
                continue
            log.warning("trouble", key=trouble.key, subject=trouble.subject)
            try:
                await self._tell(trouble)
            except StoreProblem as problem:
                log.error("trouble.notice_failed", key=trouble.key, problem=problem.detail)
                continue
            self._told[trouble.key] = now

    def _disk(self) -> Trouble | None:
        try:
            found = os.statvfs(self._folder)
        except OSError as problem:
            return Trouble("disk", "The disk can't be read", f"{self._folder}: {problem.strerror}")
        free, whole = found.f_bavail * found.f_frsize, max(1, found.f_blocks * found.f_frsize)
        nodes = found.f_favail / found.f_files if found.f_files else 1.0
        if free < self.settings.disk_free and free / whole < self.settings.disk_share:
            left = f"{free / (1 << 20):,.0f} MiB of {whole / (1 << 30):,.0f} GiB are free"
            return Trouble(
                "disk", "The disk is nearly full", f"{self._folder}: {left}. Mail is refused for now when it is full."
            )
        if nodes < self.settings.disk_share:
            return Trouble("disk", "The disk is nearly out of inodes", f"{self._folder}: {nodes:.1%} of its inodes are free.")
        return None

    def _waiting(self) -> Trouble | None:
        now, messages = self._clock(), self._queue.messages
        waiting = [one.envelope.received for one in messages.values() if not one.held]
        age = now - min(waiting) if waiting else 0.0
        long, many = age > self.settings.queue_age, len(waiting) > self.settings.queue_length
        if not long and not many:
            return None
        text = (
            f"{len(waiting)} messages wait for delivery, the oldest for {age / 3600:.1f} hours.\n\n    mailstack queue list\n\n"
        )
        return Trouble("queue", "Mail waits in the queue", text + "shows why.")
