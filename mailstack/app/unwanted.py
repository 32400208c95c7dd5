"""Unwanted mail: who judges, who learns, and what they share."""

import asyncio
import contextlib

from mailstack.app.data import Data
from mailstack.app.settings import Settings
from mailstack.config import Config
from mailstack.delivery.rejects import Rejects
from mailstack.log import get_logger
from mailstack.net.dns import Resolver
from mailstack.net.tls import client_context
from mailstack.policy.limits import Limits
from mailstack.policy.spam.greylisting import Greylisting
from mailstack.policy.spam.judge import Judge, Parts
from mailstack.policy.spam.learning import Learner
from mailstack.policy.spam.lists import Lists
from mailstack.policy.spam.outside import OutsideJudge
from mailstack.policy.spam.scanners import Clamd, Rspamd
from mailstack.store.errors import StoreProblem
from mailstack.store.greylist import Greylist
from mailstack.store.learned.file import NAME

log = get_logger()


class Unwanted:
    """start(), then close(); use() when settings change."""

    def __init__(self, data: Data, resolver: Resolver, limits: Limits, settings: Settings) -> None:
        clock = data.surroundings.clock
        self._data = data
        self._greylisting = Greylisting(data.learned, Greylist(data.path / "greylist.sqlite3"), clock)
        self.learner: Learner = data.learner
        self.judge = Judge(
            data.config.hostname,
            settings.spam,
            Parts(
                door=data.learned,
                senders=data.senders,
                lists=Lists(resolver),
                greylisting=self._greylisting,
                folder=lambda route: data.directory.folder(route.account).path,
                here=limits.exempt,
                clock=clock,
            ),
        )
        self.judge.outside = outside(data.config, settings)
        self._resuming: asyncio.Task[None] | None = None
        self.rejects = Rejects(data.directory, data.mailboxes, data.trace, settings.rejects, clock)

    def start(self) -> None:
        """Nobody waits for it."""
        self._resuming = asyncio.get_running_loop().create_task(self._resume())
        self.rejects.start()

    async def _resume(self) -> None:
        """Go on with what was to be learned when the server stopped."""
        directory = self._data.directory
        with contextlib.suppress(StoreProblem):
            for row in await directory.accounts():
                record = await directory.account(row["address"])
                folder = directory.folder(record) if record is not None else None
                if folder is not None and (folder.path / NAME).exists():
                    self.learner.resume([folder])

    def use(self, config: Config, settings: Settings) -> None:
        self.judge.settings = settings.spam
        self.judge.outside = outside(config, settings)
        self.rejects.seconds = settings.rejects

    async def close(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._resuming
        await self.rejects.stop()
        await self.learner.close()
        await self._greylisting.close()


def outside(config: Config, settings: Settings) -> tuple[OutsideJudge, ...]:
    """Those that the configuration names. ClamAV first: what it finds ends it."""
    spam, seconds = config.spam, settings.spam.seconds
    found: list[OutsideJudge] = []
    if spam.clamd:
        found.append(Clamd(spam.clamd, seconds, spam.clamd_down == "defer"))
    if spam.rspamd:
        factor = settings.spam.weights.get("rspamd", 1.0)
        found.append(Rspamd(spam.rspamd, client_context(verify=True), settings.spam.junk, seconds, factor))
    return tuple(found)
