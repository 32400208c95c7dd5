"""import.mail: messages from files into an account."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.importing import Hop
from mailstack.control.jobs import Jobs, Progress
from mailstack.control.moving import reason
from mailstack.control.operations import Operation
from mailstack.store.errors import NameRefused, OverQuota
from mailstack.store.importing.filling import Filled, Filling, batches
from mailstack.store.importing.sources import Source
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import to_folder
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.users.directory import Directory


class ImportOperations:
    """One for the server. `hop`: blocking work in a thread of few."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, jobs: Jobs, spool: Path, hop: Hop) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._jobs = jobs
        self._spool = spool
        self._hop = hop

    def table(self) -> dict[str, Operation]:
        return {"import.mail": self.mail}

    async def mail(self, arguments: Arguments) -> Any:
        """A job: all messages of a file or a folder, each once."""
        record = await find_account(self._directory, arguments["address"], to_fill=True)
        path = Path(str(arguments["source"]))
        above = arguments.get("mailbox") or None
        try:
            if above is not None:
                to_folder(str(above))
        except NameRefused as problem:
            raise OperationProblem(f"{above!r} can't be a mailbox: {problem}") from problem

        async def work(progress: Progress) -> Any:
            account = await self._mailboxes.account(self._directory.folder(record))
            account.hold()
            try:
                filled = await self._fill(account, path, above, progress)
            finally:
                account.let_go()
            return {**asdict(filled), "messages": filled.messages}

        return self._jobs.begin("import.mail", work)

    async def _fill(self, account: Account, path: Path, above: str | None, progress: Progress) -> Filled:
        try:
            source = await self._hop(Source, path, self._spool)
        except OSError as problem:
            raise MoveProblem(reason(problem)) from problem
        filling = Filling(account, above, source.own)
        await filling.begin()
        more: Callable[[], Any] = batches(source.letters())
        progress.begin("reading", source.total)
        try:
            while some := await self._hop(more):
                await filling.take(some)
                progress.step(0)
                progress.done = source.octets
                progress.text = f"{filling.filled.messages} messages"
        except OverQuota as problem:
            done = filling.filled.messages
            raise MoveProblem(f"the account's quota is full; {done} messages came in: mailstack user quota") from problem
        except OSError as problem:
            raise MoveProblem(f"{reason(problem)}; {filling.filled.messages} messages came in") from problem
        return filling.filled
