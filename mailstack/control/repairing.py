"""repair: index and Maildir compared, and what differs mended."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.jobs import Jobs, Progress
from mailstack.control.operations import Operation
from mailstack.policy.sharing import Sharing
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory


class RepairOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, sharing: Sharing, jobs: Jobs) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._sharing = sharing
        self._jobs = jobs

    def table(self) -> dict[str, Operation]:
        return {"repair": self.repair, "repair.begin": self.begin}

    async def repair(self, arguments: Arguments) -> Any:
        """One account or all; what was found, by account and mailbox."""
        return await self._repair(arguments, Progress())

    async def begin(self, arguments: Arguments) -> Any:
        """The same, as a job."""

        async def work(progress: Progress) -> Any:
            return await self._repair(arguments, progress)

        return self._jobs.begin("repair", work)

    async def _repair(self, arguments: Arguments, progress: Progress) -> dict[str, list[str]]:
        report: dict[str, list[str]] = {}
        wanted = read_address(arguments["account"]).key if arguments.get("account") else None
        for row in await self._directory.accounts():
            if wanted in (None, row["address"]):
                record = await self._directory.account(row["address"])
                assert record is not None
                account = await self._mailboxes.account(self._directory.folder(record))
                progress.begin(row["address"], len(account.names()))

                report[row["address"]] = await account.repair(progress.step)
                await self._sharing.renew(record, account)
        if wanted is not None and not report:
            raise OperationProblem(f"there is no account {wanted}")
        return report
