"""Which accounts may share something with which: so that a LIST opens no others. The grants beside the mailboxes say what.

Rule: a row is there before its first grant is; one too many costs a look and shows nothing.
"""

from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select

from mailstack.store.database import Database
from mailstack.store.users.models import Account, Share

account_table: Any = Account.__table__  # type: ignore[attr-defined]
share_table: Any = Share.__table__  # type: ignore[attr-defined]
ANYONE = ""
CACHE_LIMIT = 10_000


class Shares:
    """Accounts are named by their folders here."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[str, tuple[tuple[str, str], ...]] = {}
        self._generation = 0

    async def owners(self, grantee: str) -> tuple[tuple[str, str], ...]:
        """Address and folder of the accounts that may share with one, or with everybody (ANYONE)."""
        found = self._cache.get(grantee)
        if found is None:
            generation = self._generation
            found = await self._database.run(_owners, grantee)
            if generation == self._generation:
                if len(self._cache) >= CACHE_LIMIT:
                    self._cache.clear()
                self._cache[grantee] = found
        return found

    async def add(self, owner: str, grantee: str) -> None:
        await self._change(_add, owner, grantee)

    async def remove(self, owner: str, grantee: str) -> None:
        await self._change(_remove, owner, grantee)

    async def forget(self, folder: str) -> None:
        """An account is removed."""
        await self._change(_forget, folder)

    async def _change(self, function: Any, *arguments: str) -> None:
        try:
            await self._database.run(function, *arguments)
        finally:
            self._generation += 1
            self._cache.clear()


def _owners(connection: Connection, grantee: str) -> tuple[tuple[str, str], ...]:
    query = (
        select(account_table.c.address, account_table.c.folder)
        .join(share_table, share_table.c.owner == account_table.c.folder)
        .where(share_table.c.grantee == grantee)
        .order_by(account_table.c.address)
    )
    return tuple((row.address, row.folder) for row in connection.execute(query))


def _add(connection: Connection, owner: str, grantee: str) -> None:
    connection.execute(insert(share_table).prefix_with("OR IGNORE").values(owner=owner, grantee=grantee))


def _remove(connection: Connection, owner: str, grantee: str) -> None:
    connection.execute(delete(share_table).where(and_(share_table.c.owner == owner, share_table.c.grantee == grantee)))


def _forget(connection: Connection, folder: str) -> None:
    connection.execute(delete(share_table).where(or_(share_table.c.owner == folder, share_table.c.grantee == folder)))
