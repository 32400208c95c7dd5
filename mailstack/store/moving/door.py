"""The door to moves: blocking work in a thread of its own, an account at a time."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from mailstack.store.disk import Disk
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import safe_host
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.moving import rules, survey
from mailstack.store.moving.leaving import Leaver, Leaving, LeavingBox, Left
from mailstack.store.moving.rules import ForeignScripts
from mailstack.store.moving.staging import Staged, Staging
from mailstack.store.moving.survey import Survey, Told

P = ParamSpec("P")
R = TypeVar("R")


class Mover:
    """One for the server. At most one thread works for all moves: others' turns at the interpreter come first."""

    def __init__(self, mailboxes: Mailboxes, disk: Disk, randomness: random.Random, hostname: str) -> None:
        self._mailboxes = mailboxes
        self._disk = disk
        self._randomness = randomness
        self._host = safe_host(hostname)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="moving")

    async def hop(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Blocking work in the thread of moves."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *arguments, **named))

    async def look(self, root: Path, indexes: Path | None, told: Told) -> Survey:
        """Raises OSError."""
        return await self.hop(survey.look, root, indexes, told)

    async def scripts(self, root: Path, given: Path | None) -> ForeignScripts:
        """Raises OSError."""
        return await self.hop(rules.find, root, given)

    async def stage(self, folder: AccountFolder, found: Survey, told: Told, *, links: bool) -> "tuple[Staging, Staged]":
        """Everything but the last step. Raises MoveProblem, OSError."""
        staging = Staging(self._disk, folder.path, self._host, self._randomness, links=links, told=told)
        return staging, await self.hop(staging.build, found)

    async def refuse_mail(self, folder: AccountFolder) -> None:
        """Raises MoveProblem when the account holds any."""
        await self.hop(Staging(self._disk, folder.path, self._host, self._randomness, links=True).refuse_mail)

    async def commit(self, folder: AccountFolder, staging: Staging) -> None:
        """The account is closed, and has the other Maildir when it is opened next. Raises MoveProblem, OSError."""
        await self._mailboxes.replace(folder, staging.commit)

    async def leave(self, account: Account, scripts: ForeignScripts, target: Path, told: Told, *, links: bool) -> Left:
        """An account into a home for Dovecot, while it is in use. Raises MoveProblem, OSError, StoreProblem."""
        leaving = Leaving(self._disk, account.maildir.root, target, links=links, told=told)
        await self.hop(leaving.begin)
        await account.settled()
        for name in account.names():
            await self.hop(leaving.folder, await _as_it_stands(account, name))
        return await self.hop(leaving.finish, account.subscriptions(), scripts.scripts, scripts.active)

    def close(self) -> None:
        self._executor.shutdown()


async def _as_it_stands(account: Account, name: str) -> LeavingBox:
    mailbox = await account.open(name)
    try:
        await account.check(mailbox, always=True)
        state = mailbox.loaded
        fresh = set(state.fresh)
        messages = [
            Leaver(uid, mailbox.path(place), state.bases[place], mailbox.flags[place], uid in fresh, mailbox.dates[place])
            for place, uid in enumerate(mailbox.uids)
        ]
        return LeavingBox(
            name, mailbox.folder, mailbox.id, mailbox.uid_validity, mailbox.uid_next, mailbox.highest_modseq,
            mailbox.keywords, messages,
        )  # fmt: skip
    finally:
        mailbox.release()
