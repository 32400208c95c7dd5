"""Backups of a data folder: the async door. One at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mailstack.log import get_logger
from mailstack.store.backup import layout
from mailstack.store.backup.process import BackupProcess
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed, StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.users.directory import Directory
from mailstack.store.users.records import AccountRecord

STATE = "backup.json"
ROUNDS = 5  # in which accounts are listed once more
log = get_logger()


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one run: what was backed up, and what the restore of it came to."""

    folder: str
    begun: float
    ended: float = 0.0
    name: str = ""
    accounts: int = 0
    messages: int = 0
    octets: int = 0
    new_octets: int = 0
    gone: int = 0  # messages that were removed while they were copied
    compared: int = 0  # messages that were read back through the store, octet by octet
    proven: float = 0.0  # when the restore had been compared; 0: it was not
    problems: list[str] = []
    removed: list[str] = []  # older backups that were no longer needed


class State(msgspec.Struct, omit_defaults=True):
    """What is kept beside the data: the last run, and the last one that was proven."""

    last: Outcome | None = None
    proven: Outcome | None = None


class Progress(msgspec.Struct):
    """`step`: "copy" or "prove"; `share`: of it, from 0 to 1."""

    step: str
    what: str
    share: float


class Backups:
    """`config` gives the settings as a file has them."""

    def __init__(
        self, data: Path, directory: Directory, mailboxes: Mailboxes, disk: Disk, hostname: str, config: Callable[[], str]
    ) -> None:
        self._data = data
        self._directory = directory
        self._mailboxes = mailboxes
        self._disk = disk
        self._hostname = hostname
        self._config = config
        self._process: BackupProcess | None = None
        self._stops = False
        self._running: Outcome | None = None
        self._opened: list[AccountFolder] = []  # by a backup; they need not stay open
        self._ended = asyncio.Event()
        self._ended.set()
        self.on_alarm: Callable[[Outcome], Awaitable[None]] | None = None  # a backup failed, or could not be restored

    def state(self) -> State:
        """Blocking."""
        try:
            return msgspec.json.decode((self._data / STATE).read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State()

    @property
    def running(self) -> Outcome | None:
        """The one that is being made, as far as it is known yet."""
        return self._running

    def progress(self) -> Progress | None:
        """How far that is; None where none is made, or nothing can be said. Blocking."""
        if self._running is None:
            return None
        try:
            return msgspec.json.decode((Path(self._running.folder) / layout.PROGRESS).read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError):
            return None

    async def run(self, folder: Path, keep: int, sample: int = 0) -> Outcome:
        """Back up, restore into a scratch place and compare, remove what need not be kept. Trouble is in `problems`, and told.

        Raises StoreFailed where that can't be begun.
        """
        if self._running:
            raise StoreFailed("a backup is being made already")
        outcome = self._running = Outcome(str(folder), time.time())
        try:
            outcome.folder = await asyncio.to_thread(self._place, folder)
            await self._make(outcome, keep, sample)
            if self._stops:
                log.info("backup.cut_short", folder=outcome.folder)
                return outcome
            await asyncio.to_thread(self._remember, outcome)
        finally:
            self._running = None
        await self._tell(outcome)
        return outcome

    def _place(self, folder: Path) -> str:
        """Raises StoreFailed for one that holds the data, or is among them. Blocking."""
        here, there = self._data.resolve(), folder.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise StoreFailed(f"{folder}: a backup has its place outside of the data folder {self._data}")
        return str(there)

    async def _make(self, outcome: Outcome, keep: int, sample: int) -> None:
        self._ended.clear()
        process = self._process = BackupProcess()
        try:
            await process.start()
            await self._run(process, outcome, keep, sample)
        except (StoreProblem, OSError) as problem:
            outcome.problems.append(getattr(problem, "detail", "") or str(problem))
        finally:
            await process.close()
            self._process = None
            self._ended.set()
        outcome.ended = time.time()

    async def _run(self, process: BackupProcess, outcome: Outcome, keep: int, sample: int) -> None:
        folder = outcome.folder
        await process.ask("begin", folder=folder, data=str(self._data), now=outcome.begun)
        places = await self._places()
        gone: dict[str, int] = {}
        for number, (path, record) in enumerate(places):
            gone[path] = await self._take(process, path, record, {"number": number, "of": len(places)})
        for _ in range(ROUNDS):
            # What came over from another account since may have left that one before its turn: it would be in neither.
            late = [one for one in places if one[1] is not None and self._folder(one[1]) in self._mailboxes.across]
            if not late:
                break
            for number, (path, record) in enumerate(late):
                gone[path] = await self._take(process, path, record, {"number": number, "of": len(late)})
        outcome.gone = sum(gone.values())
        made = await process.ask("finish", hostname=self._hostname, config=self._config())
        for key, value in made.items():
            setattr(outcome, key, value)
        proof = await process.ask("prove", folder=folder, name=outcome.name, sample=sample)
        outcome.problems += proof["problems"]
        if proof["more"]:
            outcome.problems.append(f"and {proof['more']} more")
        outcome.compared = proof["compared"]
        if not outcome.problems:
            outcome.proven = time.time()
        known = await asyncio.to_thread(self.state)
        proven = outcome if outcome.proven else known.proven
        outcome.removed = await process.ask(
            "prune", folder=folder, keep=keep, proven=proven.name if proven is not None else None
        )

    def _folder(self, record: AccountRecord) -> Path:
        return self._directory.folder(record).path

    async def _take(self, process: BackupProcess, path: str, record: AccountRecord | None, progress: dict[str, int]) -> int:
        """One account's folder; how many messages were removed meanwhile."""
        try:
            if record is None:
                await process.ask("list_account", folder=path, address="", mailboxes=[], **progress)
            else:
                await self._list(process, record, progress)
        except StoreProblem as problem:
            raise StoreFailed(f"mail/{path}: {problem.detail or type(problem).__name__}") from problem
        return int(await process.ask("copy_account"))

    async def _places(self) -> list[tuple[str, AccountRecord | None]]:
        """Folders below mail/, those of accounts that were removed too."""
        there = await asyncio.to_thread(_folders, self._data / "mail")
        records = {}
        for row in await self._directory.accounts():
            record = await self._directory.account(row["address"])
            if record is not None:
                records[record.folder] = record
        return [(path, records.get(path)) for path in sorted(there | records.keys())]

    async def _list(self, process: BackupProcess, record: AccountRecord, progress: dict[str, int]) -> None:
        """The account stands still while its files are listed; they are copied afterwards."""
        folder = self._directory.folder(record)
        account = await self._mailboxes.account(folder)
        account.hold()
        try:
            async with account.frozen() as mailboxes:
                self._mailboxes.across.discard(folder.path)
                place = {"folder": record.folder, "address": record.address}
                await process.ask("list_account", **place, mailboxes=msgspec.to_builtins(mailboxes), **progress)
        finally:
            account.let_go()
        self._opened.append(folder)
        self._opened = [one for one in self._opened if not self._mailboxes.close_idle(one)]

    def _remember(self, outcome: Outcome) -> None:
        state = self.state()
        state.last = outcome
        if outcome.proven:
            state.proven = outcome
        self._disk.replace_file(self._data / STATE, msgspec.json.format(msgspec.json.encode(state), indent=1))

    async def _tell(self, outcome: Outcome) -> None:
        counts = {"folder": outcome.folder, "backup": outcome.name, "messages": outcome.messages, "octets": outcome.octets}
        seconds = round(outcome.ended - outcome.begun, 1)
        if not outcome.problems:
            log.info("backup.proven", **counts, new_octets=outcome.new_octets, seconds=seconds, removed=outcome.removed)
            return
        log.error("backup.failed", **counts, problems=outcome.problems, seconds=seconds)
        if self.on_alarm is not None:
            await self.on_alarm(outcome)

    async def close(self) -> None:
        """What is under way is cut short; the next run takes over what it has."""
        self._stops = True
        if self._process is not None:
            await self._process.close()
        await self._ended.wait()


def _folders(mail: Path) -> set[str]:
    if not mail.is_dir():
        return set()
    return {
        f"{domain.name}/{one.name}" for domain in mail.iterdir() if domain.is_dir() for one in domain.iterdir() if one.is_dir()
    }
