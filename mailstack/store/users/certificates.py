"""Client certificates that are bound to accounts."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.users.models import BoundCertificate

table: Any = BoundCertificate.__table__  # type: ignore[attr-defined]


def accounts(connection: Connection, fingerprint: str) -> list[str]:
    return [account for (account,) in connection.execute(select(table.c.account).where(table.c.fingerprint == fingerprint))]


def all_pems(connection: Connection) -> list[str]:
    return [pem for (pem,) in connection.execute(select(table.c.pem).distinct())]


def add(connection: Connection, account: str, label: str, fingerprint: str, pem: str, subject: str, created: float) -> bool:
    """False when the account has one of that label, or this one."""
    mine = select(table.c.label).where(table.c.account == account)
    if connection.execute(mine.where((table.c.label == label) | (table.c.fingerprint == fingerprint))).first():
        return False
    values = {"account": account, "label": label, "fingerprint": fingerprint, "pem": pem, "subject": subject}
    connection.execute(insert(table).values(**values, created=created))
    return True


def remove(connection: Connection, account: str, label: str) -> int:
    return connection.execute(delete(table).where(table.c.account == account, table.c.label == label)).rowcount


def forget(connection: Connection, account: str) -> None:
    connection.execute(delete(table).where(table.c.account == account))


def listing(connection: Connection, account: str) -> list[dict[str, Any]]:
    columns = [table.c[name] for name in ("label", "fingerprint", "subject", "created")]
    return [dict(row._mapping) for row in connection.execute(select(*columns).where(table.c.account == account))]
