"""move.*: whole accounts come in from Dovecot's or Courier's Maildir with their UIDs, and leave as such."""

import asyncio
import contextlib
import os
import pwd
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.jobs import Jobs, Progress
from mailstack.control.operations import Operation
from mailstack.sieve.problem import SieveProblem
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.moving.door import Mover
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.moving.names import roles
from mailstack.store.moving.rules import ForeignScripts
from mailstack.store.moving.staging import Staged
from mailstack.store.moving.survey import Survey
from mailstack.store.sieve.scripts import Scripts, acceptable_name
from mailstack.store.users.directory import AccountRecord, Directory


class MoveOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, scripts: Scripts, mover: Mover, jobs: Jobs) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._scripts = scripts
        self._mover = mover
        self._jobs = jobs
        self._turns: dict[str, asyncio.Lock] = {}

    def table(self) -> dict[str, Operation]:
        return {"move.in": self.move_in, "move.out": self.move_out}

    async def account(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"], to_fill=True)

    async def move_in(self, arguments: Arguments) -> Any:
        """A job: take over another server's Maildir, or only say what would be (`check`)."""
        record = await self.account(arguments)
        source = _path(arguments["source"])
        indexes = _path(arguments["indexes"]) if arguments.get("indexes") else None
        sieve = _path(arguments["sieve"]) if arguments.get("sieve") else None

        async def work(progress: Progress) -> Any:
            async with self._turns.setdefault(record.address, asyncio.Lock()):
                try:
                    found = await self._look(source, indexes, progress)
                    scripts = await self._mover.scripts(found.root, sieve)
                    if arguments.get("check"):
                        await self._mover.refuse_mail(self._directory.folder(record))
                        return _report(found, scripts)
                    return await self._take(record, found, scripts, progress, links=not arguments.get("copy"))
                except OSError as problem:
                    raise MoveProblem(reason(problem)) from problem

        return self._jobs.begin("move.in", work)

    async def move_out(self, arguments: Arguments) -> Any:
        """A job: write a home that Dovecot can serve, with the same UIDs. The account stays as it is."""
        record = await self.account(arguments)
        target = _path(arguments["target"])

        async def work(progress: Progress) -> Any:
            account = await self._mailboxes.account(self._directory.folder(record))
            account.hold()
            try:
                brief = await account.brief(account.names())
                progress.begin("messages", sum(one.messages for one in brief.values()))
                scripts = await self._scripts_of(record)
                left = await self._mover.leave(account, scripts, target, progress.step, links=bool(arguments.get("link")))
            except OSError as problem:
                raise MoveProblem(reason(problem)) from problem
            finally:
                account.let_go()
            uses = {row.name: row.special_use.value for row in await account.listing() if row.special_use is not None}
            return {
                "target": str(target), "mailboxes": len(brief), "messages": left.messages, "linked": left.linked,
                "gone": left.gone, "scripts": len(scripts.scripts), "uses": uses,
            }  # fmt: skip

        return self._jobs.begin("move.out", work)

    async def _scripts_of(self, record: AccountRecord) -> ForeignScripts:
        listing = await self._scripts.listing(record.folder)
        sources = {name: await self._scripts.read(record.folder, name) for name in listing}
        return ForeignScripts(sources, next((name for name, active in listing.items() if active), None))

    async def _look(self, source: Path, indexes: Path | None, progress: Progress) -> Survey:
        progress.begin("reading folders")
        return await self._mover.look(source, indexes, progress.step)

    async def _take(
        self, record: AccountRecord, found: Survey, scripts: ForeignScripts, progress: Progress, *, links: bool
    ) -> Any:
        folder = self._directory.folder(record)
        if found.root.resolve() == folder.path.resolve() / "Maildir":
            raise MoveProblem(f"{found.root}: this is the account's own place; put the other Maildir elsewhere")
        await self._mailboxes.account(folder)
        progress.begin("messages", found.messages)
        staging, staged = await self._mover.stage(folder, found, progress.step, links=links)
        problems = await self._take_scripts(record, scripts)
        progress.begin("putting it in place")
        self._directory.end_sessions(record.address)
        await self._mover.commit(folder, staging)
        await self._read_anew(record, found, progress)
        return _report(found, scripts, staged, problems)

    async def _read_anew(self, record: AccountRecord, found: Survey, progress: Progress) -> None:
        """Make the index, so that the first client need not wait for it."""
        progress.begin("reading the mailboxes", found.messages)
        account = await self._mailboxes.account(self._directory.folder(record))
        for name in account.names():
            mailbox = await account.open(name)
            progress.done += len(mailbox.uids)
            mailbox.release()

    async def _take_scripts(self, record: AccountRecord, found: ForeignScripts) -> list[str]:
        """Why which of them is not taken over."""
        problems = []
        for name, source in found.scripts.items():
            try:
                if not acceptable_name(name):
                    raise OperationProblem("no name for a script")
                await self._scripts.put(record.folder, name, source)
                if name == found.active:
                    await self._scripts.activate(record.folder, name)
            except (SieveProblem, StoreProblem, OperationProblem) as problem:
                problems.append(f"Sieve script {name}: {problem or type(problem).__name__}; not taken over")
        return problems


def reason(problem: OSError) -> str:
    """With what helps where the server's user is not the one who may read it."""
    text = f"{os.fsdecode(problem.filename)}: {problem.strerror}" if problem.filename else str(problem)
    if isinstance(problem, PermissionError):
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(os.geteuid()).pw_name
            text += f" for {user}, as whom this runs; let it read there: setfacl -R -m u:{user}:rX"
    return text


def _path(text: Any) -> Path:
    path = Path(str(text))
    if not path.is_absolute():
        raise OperationProblem(f"{path}: not a whole path")
    return path


def _report(
    found: Survey, scripts: ForeignScripts, staged: Staged | None = None, problems: list[str] | None = None
) -> dict[str, Any]:
    uses = roles(folder.name for folder in found.folders)
    return {
        "kind": found.kind,
        "folders": [
            {
                "mailbox": folder.name,
                "use": uses[folder.name].value if folder.name in uses else None,
                "messages": len(folder.messages),
                "uid_validity": folder.uid_validity,
                "uid_next": folder.uid_next,
                "keywords": [word for word in folder.keywords if word],
                "unlisted": folder.unlisted,
            }
            for folder in found.folders
        ],
        "messages": found.messages,
        "octets": found.octets,
        "scripts": [{"name": name, "active": name == scripts.active} for name in scripts.scripts],
        "subscribed": sorted(found.subscribed) if found.subscribed is not None else None,
        "linked": staged.linked if staged else None,
        "copied": staged.copied if staged else None,
        "found": staged.found if staged else None,
        "problems": found.problems + (problems or []),
    }
