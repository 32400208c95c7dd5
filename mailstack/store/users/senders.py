"""Grants: as whom an account may send although mail for that address does not come to it."""

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailstack.store.users.models import SendAs

table: Any = SendAs.__table__  # type: ignore[attr-defined]

_OF_ACCOUNT = select(table.c.address).where(table.c.account == bindparam("account"))


def of_account(connection: Connection, account: str) -> frozenset[str]:
    return frozenset(address for (address,) in connection.execute(_OF_ACCOUNT, {"account": account}))


def add(connection: Connection, account: str, address: str) -> None:
    connection.execute(insert(table).prefix_with("OR IGNORE").values(account=account, address=address))


def remove(connection: Connection, account: str, address: str) -> int:
    return connection.execute(delete(table).where(table.c.account == account, table.c.address == address)).rowcount


def forget(connection: Connection, account: str) -> None:
    """The account is removed: one that gets its address later has no grant of it."""
    connection.execute(delete(table).where(table.c.account == account))
