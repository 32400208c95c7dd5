"""user.usage, user.logins, logins.recent: how full an account is, and who came in."""

from typing import Any

from mailstack.control.arguments import Arguments
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.logins import LoginBook

RECENT = 20


class UsageOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, logins: LoginBook) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._logins = logins

    def table(self) -> dict[str, Operation]:
        return {"user.usage": self.usage, "user.logins": self.logins, "logins.recent": self.recent}

    async def _record(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"])

    async def usage(self, arguments: Arguments) -> Any:
        """Octets and messages of each mailbox, and of all; `quota` is None where there is none."""
        record = await self._record(arguments)
        account = await self._mailboxes.account(self._directory.folder(record))
        rows = []
        for name in sorted(account.names()):
            try:
                status = await account.status(name)
                use = account.look(name).special_use
            except NoSuchMailbox:
                continue
            row = {"mailbox": name, "messages": status.messages, "unseen": status.unseen, "octets": status.size}
            rows.append({**row, "special_use": use.value if use else None})
        whole = await account.usage()
        return {"mailboxes": rows, "octets": whole.octets, "messages": whole.messages, "quota": record.quota}

    async def logins(self, arguments: Arguments) -> Any:
        """Each way in once: by which protocol, from where, with which app password (or none), when first and last."""
        return await self._logins.listing((await self._record(arguments)).address)

    async def recent(self, arguments: Arguments) -> Any:
        """The last ways in of all accounts, with the account of each."""
        return await self._logins.recent(int(arguments.get("limit") or RECENT))
