"""Bans on disk: who may not log in, and until when. They outlive a restart."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import Banned

ban_table: Any = Banned.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Ban:
    """`until` None: until it is lifted. `level`: how many came before it, from 0."""

    network: str
    since: float
    until: float | None
    level: int
    reason: str
    failures: int = 0


class BanTable:
    def __init__(self, database: Database, behind: WriteBehind) -> None:
        self._database = database
        self._behind = behind

    async def load(self, forgotten: float) -> list[Ban]:
        """All but those that ended before `forgotten`, which are removed."""
        return await self._database.run(_load, forgotten)

    def save(self, ban: Ban) -> None:
        self._behind.put(("ban", ban.network), _save, ban)

    def remove(self, network: str) -> None:
        self._behind.put(("ban", network), _remove, network)

    async def flush(self) -> None:
        """What an admin did is durable when he is told so."""
        await self._behind.flush()


def _load(connection: Connection, forgotten: float) -> list[Ban]:
    connection.execute(delete(ban_table).where(ban_table.c.until < forgotten))
    names = ("network", "since", "until", "level", "reason", "failures")
    return [Ban(*(getattr(row, name) for name in names)) for row in connection.execute(select(ban_table))]


def _save(connection: Connection, bans: list[Ban]) -> None:
    names = ("network", "since", "until", "level", "reason", "failures")
    rows = [{name: getattr(ban, name) for name in names} for ban in bans]
    connection.execute(insert(ban_table).prefix_with("OR REPLACE"), rows)


def _remove(connection: Connection, networks: list[str]) -> None:
    connection.execute(delete(ban_table).where(ban_table.c.network.in_(networks)))
