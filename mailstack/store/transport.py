"""What is known of the TLS of other domains: their MTA-STS policies, the best level that each had, and what sessions came to.

`<data>/transport.sqlite3`: losing it loses no mail, only the memory of who was safe before.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem
from mailstack.store.side_file import SideFile

log = get_logger()
DAY = 86400
RESULTS_KEPT = 10 * DAY
LEVELS = 100_000  # domains that are remembered; the oldest go
SCHEMA = """
CREATE TABLE IF NOT EXISTS sts (domain TEXT PRIMARY KEY, id TEXT NOT NULL, policy TEXT NOT NULL, fetched REAL NOT NULL,
    expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS level (domain TEXT PRIMARY KEY, level INTEGER NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS result (day INTEGER NOT NULL, domain TEXT NOT NULL, kind TEXT NOT NULL, policy TEXT NOT NULL,
    hosts TEXT NOT NULL, failure TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (day, domain, kind, policy, hosts, failure, host, address, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reported (day INTEGER NOT NULL, domain TEXT NOT NULL, PRIMARY KEY (day, domain)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy file as it came."""

    id: str
    text: str
    fetched: float
    expires: float


@dataclass(frozen=True, slots=True)
class KeptLevel:
    """The best level of a domain, and when it was last seen."""

    level: int
    seen: float


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What TLS came to in one connection; `failure`: "" when it was as the policy asks."""

    domain: str
    kind: str
    policy: str  # its lines
    hosts: str  # the policy's hosts, one a line
    failure: str = ""
    host: str = ""
    address: str = ""
    reason: str = ""


class TransportStore:
    """open(), then close(). Reads are from memory but for reports; writes go to one thread. Raises StoreProblem."""

    def __init__(self, path: Path) -> None:
        self._file = SideFile(path, SCHEMA, "transport")
        self.run = self._file.run
        self.policies: dict[str, KeptPolicy] = {}
        self.levels: dict[str, KeptLevel] = {}
        self._results: dict[tuple[int, SessionResult], int] = {}

    async def open(self) -> None:
        self.policies, self.levels = await self.run(_load)

    async def close(self) -> None:
        try:
            await self.flush()
        except StoreProblem as problem:
            log.error("transport.not_written", problem=problem.detail)
        finally:
            await self._file.close()

    async def keep_policy(self, domain: str, kept: KeptPolicy) -> None:
        self.policies[domain] = kept
        await self.run(_put_policy, domain, kept)

    async def keep_level(self, domain: str, kept: KeptLevel) -> None:
        if domain not in self.levels and len(self.levels) >= LEVELS:
            await self.forget(min(self.levels, key=lambda one: self.levels[one].seen))
        self.levels[domain] = kept
        await self.run(_put_level, domain, kept)

    async def forget(self, domain: str) -> bool:
        """What was known of a domain's TLS; whether there was anything."""
        known = self.policies.pop(domain, None) is not None
        known = self.levels.pop(domain, None) is not None or known
        await self.run(_forget, domain)
        return known

    def count(self, result: SessionResult, now: float) -> None:
        """One more session that came to this; written by flush()."""
        key = (int(now // DAY), result)
        self._results[key] = self._results.get(key, 0) + 1

    async def flush(self) -> None:
        results, self._results = self._results, {}
        if results:
            await self.run(_add_results, results)

    async def results(self, day: int) -> dict[str, list[tuple[SessionResult, int]]]:
        """By domain, of a day that was not reported yet."""
        await self.flush()
        return await self.run(_results, day)

    async def reported(self, day: int, domain: str, now: float) -> None:
        await self.run(_reported, day, domain, now)


def _load(connection: sqlite3.Connection) -> tuple[dict[str, KeptPolicy], dict[str, KeptLevel]]:
    policies = {row[0]: KeptPolicy(*row[1:]) for row in connection.execute("SELECT * FROM sts")}
    return policies, {row[0]: KeptLevel(*row[1:]) for row in connection.execute("SELECT * FROM level")}


def _put_policy(connection: sqlite3.Connection, domain: str, kept: KeptPolicy) -> None:
    row = (domain, kept.id, kept.text, kept.fetched, kept.expires)
    connection.execute("INSERT OR REPLACE INTO sts VALUES (?,?,?,?,?)", row)


def _put_level(connection: sqlite3.Connection, domain: str, kept: KeptLevel) -> None:
    connection.execute("INSERT OR REPLACE INTO level VALUES (?,?,?)", (domain, kept.level, kept.seen))


def _forget(connection: sqlite3.Connection, domain: str) -> None:
    connection.execute("DELETE FROM sts WHERE domain=?", (domain,))
    connection.execute("DELETE FROM level WHERE domain=?", (domain,))


def _add_results(connection: sqlite3.Connection, results: dict[tuple[int, SessionResult], int]) -> None:
    rows: list[tuple[Any, ...]] = [
        (day, one.domain, one.kind, one.policy, one.hosts, one.failure, one.host, one.address, one.reason, count)
        for (day, one), count in results.items()
    ]
    query = (
        "INSERT INTO result VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (day, domain, kind, policy, hosts, failure, host, "
        "address, reason) DO UPDATE SET count=count+excluded.count"
    )
    connection.executemany(query, rows)


def _results(connection: sqlite3.Connection, day: int) -> dict[str, list[tuple[SessionResult, int]]]:
    found: dict[str, list[tuple[SessionResult, int]]] = {}
    query = (
        "SELECT domain, kind, policy, hosts, failure, host, address, reason, count FROM result WHERE day=? "
        "AND NOT EXISTS (SELECT 1 FROM reported WHERE reported.day=result.day AND reported.domain=result.domain)"
    )
    for *fields, count in connection.execute(query, (day,)):
        found.setdefault(fields[0], []).append((SessionResult(*fields), count))
    return found


def _reported(connection: sqlite3.Connection, day: int, domain: str, now: float) -> None:
    connection.execute("INSERT OR IGNORE INTO reported VALUES (?,?)", (day, domain))
    oldest = int((now - RESULTS_KEPT) // DAY)
    connection.execute("DELETE FROM result WHERE day<?", (oldest,))
    connection.execute("DELETE FROM reported WHERE day<?", (oldest,))
