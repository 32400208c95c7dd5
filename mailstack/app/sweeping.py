"""Deleted messages that were kept for long enough, or for which there is no room, go for good; copies of databases, too."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.database import NET
from mailstack.store.disk import Disk
from mailstack.store.mailbox.graves import FOLDER, KeepDeleted, purge
from mailstack.store.tasks import ended
from mailstack.store.upgrade_copies import forget_copies

log = get_logger()
FIRST_SECONDS, SECONDS = 60.0, 1800.0
SCARCE = 0.05  # of the disk is free: mail that comes needs it more


class Sweeping:
    """start(), then stop(). `mail` is the folder of all accounts, those that were removed too. `well`: what the last self-test
    said.
    """

    def __init__(
        self, mail: Path, disk: Disk, keep: KeepDeleted, clock: Callable[[], float], well: Callable[[], bool] = lambda: True
    ) -> None:
        self._mail = mail
        self._disk = disk
        self._keep = keep
        self._clock = clock
        self._well = well
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self.sweep()
            except OSError as problem:
                log.error("deleted.sweep_failed", problem=str(problem))
            await asyncio.sleep(SECONDS)

    async def sweep(self) -> int:
        """How many messages went."""
        gone = 0
        scarce = await asyncio.to_thread(self._scarce)
        now = self._clock()
        before = now if scarce or self._keep.seconds is None else now - self._keep.seconds
        for account in await asyncio.to_thread(self._accounts):
            try:
                gone += await asyncio.to_thread(purge, account, self._disk, before, self._keep.octets)
            except OSError as problem:  # others' may go
                log.error("deleted.sweep_failed", account=str(account), problem=str(problem))
        net = self._mail.parent / NET
        await asyncio.to_thread(forget_copies, net, now, self._disk, well=self._well())
        if gone:
            log.warning("deleted.purged", messages=gone, reason="disk") if scarce else log.info("deleted.purged", messages=gone)
        return gone

    def _scarce(self) -> bool:
        status = os.statvfs(self._mail)
        return status.f_bavail < status.f_blocks * SCARCE

    def _accounts(self) -> list[Path]:
        return [path.parent for path in self._mail.glob(f"*/*/{FOLDER}")]
