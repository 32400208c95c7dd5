"""All accounts of the server: opened on first use, the least recently used are closed."""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mailstack.store.batching import Batcher
from mailstack.store.disk import Disk
from mailstack.store.drafts import write_drafts
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.answers import AnswerCache
from mailstack.store.mailbox.filename import safe_host
from mailstack.store.mailbox.graves import KeepDeleted
from mailstack.store.mailbox.maildir import give_names
from mailstack.store.mailbox.searching import Searching, SearchSettings
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import AccountFolder

OPEN_ACCOUNTS = 256
OPEN_INDEXES = 16
THREADS = 8


class Mailboxes:
    """The store's door. One for a data folder."""

    def __init__(
        self,
        hostname: str,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
        randomness: random.Random | None = None,
        limit: int = OPEN_ACCOUNTS,
        search: SearchSettings | None = None,
        keep_deleted: KeepDeleted | None = None,
    ) -> None:
        """Without `search` there is no full-text index, and no helper process. Without `keep_deleted` the deleted is gone."""
        self.keep_deleted = keep_deleted or KeepDeleted()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        disk = disk or Disk()
        self._surroundings = Surroundings(
            executor=self._executor,
            disk=disk,
            clock=clock,
            randomness=randomness or random.SystemRandom(),
            host=safe_host(hostname),
            answers=AnswerCache(),
            drafts=Batcher(self._executor, partial(write_drafts, disk)),
            namings=Batcher(self._executor, partial(give_names, disk), lanes=2),
            searching=Searching(search),
            keep_deleted=self.keep_deleted,
        )
        self._limit = limit
        self._awake: OrderedDict[str, Account] = OrderedDict()
        self._accounts: dict[str, Account] = {}
        self._opening: dict[str, asyncio.Task[Account]] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    @property
    def across(self) -> set[Path]:
        """Folders of accounts into which messages of other accounts came, until somebody takes them out of it."""
        return self._surroundings.across

    async def account(self, folder: AccountFolder, *, limits: bool = True) -> Account:
        """The account in a folder, made with its special-use mailboxes if it is not there yet. Without `limits` one that is
        open keeps the quotas that it has: they may be newer than what the folder says.
        """
        key = str(folder.path)
        while key in self._closing:
            await asyncio.wait([self._closing[key]])
        account = self._accounts.get(key)
        limits = limits or account is None
        account = account or await self._opened(key, folder)
        if limits:
            account.quota, account.message_quota = folder.quota, folder.message_quota
        account.used()
        self._rest(key, account)
        return account

    async def _opened(self, key: str, folder: AccountFolder) -> Account:
        """Whoever asks for it meanwhile waits for the same."""
        task = self._opening.get(key)
        if task is None:
            task = self._opening[key] = asyncio.create_task(self._open(key, folder))
            self._make_room()
        if not task.done():
            await asyncio.wait([task])
        return task.result()

    def _rest(self, key: str, account: Account) -> None:
        """Few indexes are open at once; those of accounts that only wait are closed until they are needed."""
        self._awake[key] = account
        self._awake.move_to_end(key)
        while len(self._awake) > OPEN_INDEXES:
            _, idle = self._awake.popitem(last=False)
            self._executor.submit(idle.index.rest)

    async def _open(self, key: str, folder: AccountFolder) -> Account:
        try:
            account = Account(folder, self._surroundings)
            await account.start()
            self._accounts[key] = account
            return account
        finally:
            del self._opening[key]

    def _make_room(self) -> None:
        if len(self._accounts) + len(self._opening) <= self._limit:
            return
        idle = [(account.last_used, key) for key, account in self._accounts.items() if not account.busy]
        for _, key in sorted(idle)[: max(1, self._limit // 16)]:
            if time.monotonic() - self._accounts[key].last_used > 1.0:
                self._awake.pop(key, None)
                self._closing[key] = asyncio.create_task(self._close(key, self._accounts.pop(key)))

    async def _close(self, key: str, account: Account) -> None:
        try:
            await account.close()
        finally:
            del self._closing[key]

    def close_idle(self, folder: AccountFolder) -> bool:
        """Close an account that was opened for a moment's work, once nobody uses it. Whether it is closed."""
        key = str(folder.path)
        account = self._accounts.get(key)
        if account is not None and not account.busy and time.monotonic() - account.last_used > 1.0:
            self._awake.pop(key, None)
            self._closing[key] = asyncio.create_task(self._close(key, self._accounts.pop(key)))
            account = None
        return account is None

    async def forget(self, folder: AccountFolder) -> None:
        """Close an account that is being removed."""
        key = str(folder.path)
        if key in self._opening:
            await asyncio.wait([self._opening[key]])
        account = self._accounts.pop(key, None)
        self._awake.pop(key, None)
        if account is not None:
            await asyncio.shield(self._closing.setdefault(key, asyncio.create_task(self._close(key, account))))

    async def replace(self, folder: AccountFolder, work: Callable[[], None]) -> None:
        """Close an account, and do blocking work on its folder while nobody can open it."""
        key = str(folder.path)
        while key in self._opening or key in self._closing:
            await asyncio.wait([self._opening.get(key) or self._closing[key]])
        account = self._accounts.pop(key, None)
        self._awake.pop(key, None)
        self._closing[key] = task = asyncio.create_task(self._replace(key, account, work))
        await asyncio.shield(task)

    async def _replace(self, key: str, account: Account | None, work: Callable[[], None]) -> None:
        try:
            if account is not None:
                await account.close()
            await self._surroundings.hop(work)
        finally:
            del self._closing[key]

    async def close(self) -> None:
        """Finish and close all accounts."""
        await self._surroundings.searching.close()
        if self._opening:
            await asyncio.wait(self._opening.values())
        accounts = list(self._accounts.values())
        self._accounts.clear()
        # Together: each waits for the disk most of the time.
        came = await asyncio.gather(*(account.close() for account in accounts), return_exceptions=True)
        if self._closing:
            await asyncio.wait(self._closing.values())
        self._executor.shutdown()
        for problem in came:
            if problem is not None:
                raise problem
