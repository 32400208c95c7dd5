"""Deleted messages that were kept for long enough, or for which there is no room, go for good."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.database import NET
from mailstack.store.disk import Disk
from mailstack.store.mailbox.graves import FOLDER, KeepDeleted, purge
from mailstack.store.tasks import ended

log = get_logger()
FIRST_SECONDS, SECONDS = 60.0, 1800.0
UPGRADES_KEPT = 30 * 86400.0
SCARCE = 0.05  # of the disk is free: mail that comes needs it more


class Sweeping:
    """start(), then stop(). `mail` is the folder of all accounts, those that were removed too."""

    def __init__(self, mail: Path, disk: Disk, keep: KeepDeleted, clock: Callable[[], float]) -> None:
        self._mail = mail
        self._disk = disk
        self._keep = keep
        self._clock = clock
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
            gone += await asyncio.to_thread(purge, account, self._disk, before, self._keep.octets)
        await asyncio.to_thread(self._forget_upgrades, now)
        if gone:
            log.warning("deleted.purged", messages=gone, reason="disk") if scarce else log.info("deleted.purged", messages=gone)
        return gone

    def _forget_upgrades(self, now: float) -> None:
        """Databases as they were before an upgrade (store/upgrading.py)."""
        for one in (self._mail.parent / NET).glob("from-*"):
            if one.stat().st_mtime < now - UPGRADES_KEPT:
                shutil.rmtree(one, ignore_errors=True)

    def _scarce(self) -> bool:
        status = os.statvfs(self._mail)
        return status.f_bavail < status.f_blocks * SCARCE

    def _accounts(self) -> list[Path]:
        return [path.parent for path in self._mail.glob(f"*/*/{FOLDER}")]
