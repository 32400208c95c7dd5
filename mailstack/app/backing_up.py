"""Backups by the clock, and who is told when one is not well."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from mailstack.config import Config
from mailstack.log import get_logger
from mailstack.store.backup.backups import Backups, Outcome
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended

log = get_logger()
LOOK_SECONDS = 30.0
DAY = 86400.0
SUBJECT = "The backup is not well"
TEXT = """The backup of {when} into {folder} is not well:

{problems}

The last backup that was restored and compared: {proven}.

    mailstack backup --status
    mailstack backup {folder}

makes a new one, which takes nothing over from files that are damaged."""


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """When and where; `folder` is None where no backups are made by the clock."""

    folder: Path | None
    at: tuple[int, int]  # hour and minute
    keep: int
    sample: int

    @classmethod
    def of(cls, config: Config) -> "BackupSettings":
        backup = config.backup
        hour, _, minute = backup.at.partition(":")
        return cls(Path(backup.dir) if backup.dir else None, (int(hour), int(minute)), backup.keep, backup.sample)


def due(settings: BackupSettings, now: float, last: float | None) -> bool:
    """Whether the moment of today is over without a backup since; one that was missed is made up for."""
    local = datetime.datetime.fromtimestamp(now)
    moment = local.replace(hour=settings.at[0], minute=settings.at[1], second=0, microsecond=0)
    if moment > local:
        moment -= datetime.timedelta(days=1)
    return last is None or last < moment.timestamp()


class BackingUp:
    """start(), then stop(). `tell` sends the postmaster a notice."""

    def __init__(
        self,
        backups: Backups,
        settings: BackupSettings,
        clock: Callable[[], float],
        tell: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._backups = backups
        self.settings = settings
        self._clock = clock
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        backups.on_alarm = self._alarm

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)
        await self._backups.close()

    async def _run(self) -> None:
        began = self._clock()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            settings = self.settings
            if settings.folder is None:
                continue
            state = await asyncio.to_thread(self._backups.state)
            # A server that never made one waits for the hour that was set; it need not be this one.
            last = state.last.begun if state.last is not None else began
            if due(settings, self._clock(), last):
                try:
                    await self._backups.run(settings.folder, settings.keep, settings.sample)
                except StoreProblem as problem:
                    log.error("backup.not_begun", folder=str(settings.folder), problem=problem.detail)
                except Exception:
                    log.exception("backup.failed", folder=str(settings.folder))

    async def _alarm(self, outcome: Outcome) -> None:
        state = await asyncio.to_thread(self._backups.state)
        proven = f"{state.proven.name} in {state.proven.folder}" if state.proven is not None else "there is none"
        when = datetime.datetime.fromtimestamp(outcome.begun).strftime("%Y-%m-%d %H:%M")
        problems = "\n".join(f"  {problem}" for problem in outcome.problems)
        try:
            await self._tell(SUBJECT, TEXT.format(when=when, folder=outcome.folder, problems=problems, proven=proven))
        except StoreProblem as problem:
            log.error("backup.notice_failed", problem=problem.detail)
