"""Secrets of this installation in the database, for its thread."""

from typing import Any

from sqlalchemy import Connection, insert, select

from mailstack.store.users.models import Setting

setting_table: Any = Setting.__table__  # type: ignore[attr-defined]


def setting(connection: Connection, name: str, fresh: str) -> str:
    row = connection.execute(select(setting_table.c.value).where(setting_table.c.name == name)).first()
    if row:
        return str(row.value)
    connection.execute(insert(setting_table).values(name=name, value=fresh))
    return fresh
