"""What scripts must remember: whom they answered, and what they have seen (RFC 5230 4.2, RFC 7352 3)."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.database import Database
from mailstack.store.users.models import SieveMemory

table: Any = SieveMemory.__table__  # type: ignore[attr-defined]
MOST = 10_000  # of one account; the oldest are forgotten
PRUNE_SECONDS = 3600.0
CLAIM_SECONDS = 60.0
CLAIMS = 10_000


class SieveMemories:
    """One for the server."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._pruned = 0.0
        self._claimed: dict[tuple[str, str], float] = {}  # what somebody is about to remember, until when

    def claim(self, account: str, words: tuple[str, ...]) -> None:
        """It will be remembered, if all goes well: who asks meanwhile hears that it is, so that nobody is answered twice."""
        now = self._clock()
        if len(self._claimed) >= CLAIMS:
            self._claimed = {key: until for key, until in self._claimed.items() if until > now}
        self._claimed[account, _digest(words)] = now + CLAIM_SECONDS

    async def age(self, account: str, words: tuple[str, ...]) -> float | None:
        """For how many seconds this is remembered; None: it is not."""
        now = self._clock()
        if self._claimed.get((account, _digest(words)), 0.0) > now:
            return 0.0
        at = await self._database.run(_find, account, _digest(words), now)
        return max(0.0, now - at) if at is not None else None

    async def remember(self, account: str, what: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Words, and for how many seconds. Durable when it returns. Raises StoreProblem."""
        now = self._clock()
        rows = [{"account": account, "digest": _digest(words), "at": now, "expires": now + seconds} for words, seconds in what]
        prune = not self._pruned <= now < self._pruned + PRUNE_SECONDS
        if prune:
            self._pruned = now
        await self._database.run(_write, account, rows, now if prune else None)
        for row in rows:
            self._claimed.pop((account, str(row["digest"])), None)


def _digest(words: tuple[str, ...]) -> str:
    return hashlib.blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _find(connection: Connection, account: str, digest: str, now: float) -> float | None:
    where = (table.c.account == account, table.c.digest == digest, table.c.expires > now)
    found = connection.execute(select(table.c.at).where(*where)).scalar()
    return float(found) if found is not None else None


def _write(connection: Connection, account: str, rows: list[dict[str, Any]], prune: float | None) -> None:
    connection.execute(insert(table).prefix_with("OR REPLACE"), rows)
    if prune is not None:
        connection.execute(delete(table).where(table.c.expires <= prune))
    newest = select(table.c.digest).where(table.c.account == account).order_by(table.c.at.desc()).limit(1).offset(MOST - 1)
    if connection.execute(newest).first():
        edge = select(table.c.at).where(table.c.account == account).order_by(table.c.at.desc()).limit(1).offset(MOST - 1)
        connection.execute(delete(table).where(table.c.account == account, table.c.at < edge.scalar_subquery()))
