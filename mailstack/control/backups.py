"""backup.*: backups, what became of the last one, and accounts out of them."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.jobs import Jobs, Progress
from mailstack.control.operations import Operation
from mailstack.store.backup import layout, manifest
from mailstack.store.backup.backups import Backups
from mailstack.store.backup.bringing import bring_back
from mailstack.store.backup.restoring import choose
from mailstack.store.errors import OverQuota, StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory

KEEP = 7


class BackupOperations:
    """`folder`: where the settings let backups go; None where they do not."""

    def __init__(
        self,
        backups: Backups,
        directory: Directory,
        mailboxes: Mailboxes,
        jobs: Jobs,
        spool: Path,
        folder: Path | None,
        keep: int = KEEP,
    ) -> None:
        self._backups = backups
        self._jobs = jobs
        self._directory = directory
        self._mailboxes = mailboxes
        self._spool = spool
        self._folder = folder
        self._keep = keep

    def table(self) -> dict[str, Operation]:
        return {
            "backup.run": self.run,
            "backup.begin": self.begin,
            "backup.last": self.last,
            "backup.list": self.listing,
            "backup.bring": self.bring,
            "backup.bring.begin": self.begin_bringing,
        }

    def _place(self, arguments: Arguments) -> Path:
        if arguments.get("dir"):
            return Path(arguments["dir"])
        if self._folder is None:
            raise OperationProblem("say where: mailstack backup DIR, or backup.dir in the settings")
        return self._folder

    async def run(self, arguments: Arguments) -> Any:
        """One backup, proven; what became of it. It did not go well where `problems` are told."""
        keep = int(arguments.get("keep") or self._keep)
        if keep < 1:
            raise OperationProblem("at least one backup must be kept")
        return _plain(await self._backups.run(self._place(arguments), keep, int(arguments.get("sample") or 0)))

    async def begin(self, arguments: Arguments) -> Any:
        """The same, for those who do not wait for it: `job.status` and `backup.last` tell of it."""
        self._place(arguments)
        if self._backups.running:
            raise OperationProblem("a backup is being made already")

        async def job(_: Progress) -> Any:
            return await self.run(arguments)

        return self._jobs.begin("backup.run", job)

    async def last(self, _: Arguments) -> Any:
        """The last one, the last one that was proven, and the one that is being made; None where there is none."""
        state = await asyncio.to_thread(self._backups.state)
        running = _plain(self._backups.running)
        if running is not None:
            running["progress"] = _plain(await asyncio.to_thread(self._backups.progress))
        folder = str(self._folder) if self._folder is not None else None
        return {"last": _plain(state.last), "proven": _plain(state.proven), "running": running, "folder": folder}

    async def listing(self, arguments: Arguments) -> Any:
        """Those that are in the folder, the newest first."""
        return await asyncio.to_thread(_listed, self._place(arguments))

    async def bring(self, arguments: Arguments) -> Any:
        """An account's mail out of a backup: in place where it has none, else beside what it has."""
        return await self._bring(arguments, Progress())

    async def _bring(self, arguments: Arguments, progress: Progress) -> Any:
        record = await find_account(self._directory, arguments["account"], to_fill=True)
        address = record.address
        backup = await asyncio.to_thread(choose, self._place(arguments), arguments.get("backup") or None)
        account = await self._mailboxes.account(self._directory.folder(record))
        account.hold()
        try:
            brought = await bring_back(
                account, backup, address, self._spool, lambda goal: progress.begin(address, goal), progress.step
            )
        except OverQuota:
            hint = f"mailstack user quota {address} none"
            raise OperationProblem(f"{address} has no room for it; make some ({hint}), and do this again") from None
        finally:
            account.let_go()
        return {"backup": backup.name, "mailboxes": brought.mailboxes, "messages": brought.messages, "there": brought.there}

    async def begin_bringing(self, arguments: Arguments) -> Any:
        """The same, for those who do not wait for it."""
        address = (await find_account(self._directory, arguments["account"], to_fill=True)).address

        async def job(progress: Progress) -> Any:
            progress.begin(address)
            return await self._bring(arguments, progress)

        return self._jobs.begin("backup.bring", job)


def _listed(folder: Path) -> list[dict[str, Any]]:
    """Blocking."""
    rows = []
    for name in reversed(layout.backups(folder)):
        try:
            made = manifest.read(folder / name)
        except StoreProblem as problem:
            rows.append({"name": name, "begun": layout.moment_of(name), "problem": problem.detail})
            continue
        accounts = sum(bool(unit.address) for unit in made.units)
        counts = {"accounts": accounts, "messages": made.messages, "octets": made.octets, "new_octets": made.new_octets}
        rows.append({"name": name, "begun": made.begun, "problem": None, **counts})
    return rows


def _plain(value: object) -> Any:
    if value is None:
        return None
    assert isinstance(value, msgspec.Struct)
    return msgspec.structs.asdict(value)
