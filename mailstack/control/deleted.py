"""deleted.*: messages that were deleted and are kept for a while: listed, brought back, removed for good."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.message.header import decode_words, first, header_end
from mailstack.store.disk import Disk
from mailstack.store.errors import OverQuota
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.exhuming import bring_back, forget
from mailstack.store.mailbox.graves import Grave, graves
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory

MOST = 200  # rows of a listing, unless more are asked for
HEADER = 65536  # octets


class DeletedOperations:
    """`id` of a row names a message; what is asked for is `ids`, or `all`, of one `mailbox` where that is given."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, disk: Disk, spool: Path) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._disk = disk
        self._spool = spool

    def table(self) -> dict[str, Operation]:
        return {"deleted.list": self.list_, "deleted.restore": self.restore, "deleted.purge": self.purge}

    async def _account(self, arguments: Arguments) -> Account:
        record = await find_account(self._directory, arguments["account"])
        return await self._mailboxes.account(self._directory.folder(record))

    async def list_(self, arguments: Arguments) -> Any:
        """A row for each, what was deleted last first; at most `limit`."""
        account = await self._account(arguments)
        limit = int(arguments.get("limit") or MOST)
        await account.settled()
        return await asyncio.to_thread(_rows, account.folder.path, arguments.get("mailbox"), limit)

    async def restore(self, arguments: Arguments) -> Any:
        """Back into the mailboxes that they were in; how many, by mailbox."""
        account = await self._account(arguments)
        found = await self._chosen(account, arguments)
        account.hold()
        try:
            return {"mailboxes": await bring_back(account, found, self._spool, self._disk)}
        except OverQuota:
            raise OperationProblem("there is no room for it in the mailboxes: make some, and do this again") from None
        finally:
            account.let_go()

    async def purge(self, arguments: Arguments) -> Any:
        """Gone for good, now; how many."""
        account = await self._account(arguments)
        found = await self._chosen(account, arguments)
        return {"purged": await asyncio.to_thread(forget, found, self._disk)}

    async def _chosen(self, account: Account, arguments: Arguments) -> list[Grave]:
        ids, mailbox = set(arguments.get("ids") or ()), arguments.get("mailbox")
        if not ids and not arguments.get("all"):
            raise OperationProblem("say which: their ids, as the listing shows them, or --all")
        await account.settled()
        rows = await asyncio.to_thread(lambda: list(graves(account.folder.path)))
        found = [row for row in rows if (not ids or row.id in ids) and mailbox in (None, "", row.mailbox)]
        missing = sorted(ids - {row.id for row in found})
        if missing:
            raise OperationProblem(f"there is no deleted message {', '.join(missing)}")
        return found


def _rows(account: Path, mailbox: str | None, limit: int) -> list[dict[str, Any]]:
    found = [grave for grave in graves(account) if mailbox in (None, "", grave.mailbox)]
    found.sort(key=lambda grave: (-grave.deleted, grave.mailbox, grave.id))
    return [_row(grave) for grave in found[:limit]]


def _row(grave: Grave) -> dict[str, Any]:
    data = b""
    with contextlib.suppress(OSError), open(grave.path, "rb") as file:
        data = file.read(HEADER)
    header = data[: header_end(data)]
    words = {key: _words(header, key) for key in ("from", "subject")}
    return {
        "id": grave.id, "mailbox": grave.mailbox, "deleted": grave.deleted, "date": grave.date, "size": grave.size,
        "email_id": (grave.unique or "").replace(".", "_") or None, **words,
    }  # fmt: skip


def _words(header: bytes, name: str) -> str:
    found = first(header, name.encode())
    return " ".join(decode_words(found).split())[:300] if found is not None else ""
