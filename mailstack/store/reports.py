"""Reports of others about mail in our names (DMARC) and about TLS with our hosts: `<data>/reports.sqlite3`, for 400 days.

A cache of what is in the postmaster's mailbox: losing it loses nothing that can't be read in again.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.mailauth.dmarc_report import DmarcReport
from mailstack.store.side_file import SideFile
from mailstack.wire.tlsrpt import TlsReport

KEPT_SECONDS = 400 * 86400
REPORTS = 20_000  # more are not kept: those that nobody vouches for go first, then the oldest
ROWS = 2000  # of one report, the most frequent
SCHEMA = """
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, organisation TEXT NOT NULL, id TEXT NOT NULL, begin REAL NOT NULL,
    finish REAL NOT NULL, received REAL NOT NULL, proved INTEGER NOT NULL, UNIQUE (kind, organisation, id));
CREATE TABLE IF NOT EXISTS row (report INTEGER NOT NULL REFERENCES report (number), domain TEXT NOT NULL, source TEXT NOT NULL,
    result TEXT NOT NULL, detail TEXT NOT NULL, count INTEGER NOT NULL, good INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS row_report ON row (report);
CREATE INDEX IF NOT EXISTS report_finish ON report (finish);
"""
SUMMARY = """
SELECT domain, source, result, sum(count) AS count, sum(count * good) AS good, max(detail) AS detail,
    group_concat(DISTINCT organisation) AS reporters, max(finish) AS last, min(proved) AS proved
FROM row JOIN report ON report.number = row.report WHERE kind = ? AND finish >= ? AND (? = '' OR domain = ?)
GROUP BY domain, source, result ORDER BY domain, count DESC LIMIT 1000
"""
LISTED = """
SELECT kind, organisation, id, begin, finish, received, proved, group_concat(DISTINCT domain) AS domains, sum(count) AS count
FROM report JOIN row ON report.number = row.report WHERE finish >= ? GROUP BY number ORDER BY received DESC LIMIT 1000
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of a report: how often, from where, with what result; `good`: as it should be."""

    domain: str
    source: str
    result: str
    detail: str
    count: int
    good: bool


class ReportStore:
    """On the event loop; one thread works. Raises StoreProblem."""

    def __init__(self, path: Path) -> None:
        self._file = SideFile(path, SCHEMA, "reports")

    async def add(self, report: DmarcReport | TlsReport, domains: Collection[str], now: float, *, proved: bool) -> bool:
        """False: it was known, or is about none of `domains` or what is below. `proved`: its mail was its sender's."""
        found = [row for row in rows(report) if _below(row.domain, domains)]
        return bool(found) and bool(await self._file.run(_add, report, found, now, proved))

    async def summary(self, kind: str, since: float, domain: str) -> list[dict[str, Any]]:
        """By domain, source and result, the most frequent first."""
        found: list[dict[str, Any]] = await self._file.run(_query, SUMMARY, (kind, since, domain, domain))
        return found

    async def listing(self, since: float) -> list[dict[str, Any]]:
        """Each report, the newest first."""
        found: list[dict[str, Any]] = await self._file.run(_query, LISTED, (since,))
        return found

    async def close(self) -> None:
        await self._file.close()


def _below(domain: str, domains: Collection[str]) -> bool:
    while domain:
        if domain in domains:
            return True
        domain = domain.partition(".")[2]
    return False


def rows(report: DmarcReport | TlsReport) -> list[Row]:
    """What counts of a report."""
    if isinstance(report, DmarcReport):
        return [
            Row(
                one.header_from or report.domain,
                one.source,
                f"dkim={one.dkim} spf={one.spf} {one.disposition}",
                ", ".join(one.signers) or one.envelope_from,
                one.count,
                "pass" in (one.dkim, one.spf),
            )
            for one in report.rows
        ]
    found = []
    for policy in report.policies:
        if policy.successes:
            found.append(Row(policy.domain, "", f"{policy.kind}: success", "", policy.successes, True))
        for failure in policy.failures:
            result = f"{policy.kind}: {failure.result}"
            found.append(Row(policy.domain, failure.host or failure.address, result, failure.reason, failure.count, False))
        if policy.failed and not policy.failures:
            found.append(Row(policy.domain, "", f"{policy.kind}: failure", "", policy.failed, False))
    return found


def _add(connection: sqlite3.Connection, report: DmarcReport | TlsReport, found: list[Row], now: float, proved: bool) -> bool:
    kind = "dmarc" if isinstance(report, DmarcReport) else "tls"
    cursor = connection.execute(
        "INSERT OR IGNORE INTO report (kind, organisation, id, begin, finish, received, proved) VALUES (?,?,?,?,?,?,?)",
        (kind, report.organisation, report.id, report.start, report.end, now, proved),
    )
    if not cursor.rowcount:
        return False
    found = sorted(found, key=lambda one: -one.count)[:ROWS]
    values = [(cursor.lastrowid, one.domain, one.source, one.result, one.detail, one.count, one.good) for one in found]
    connection.executemany("INSERT INTO row VALUES (?,?,?,?,?,?,?)", values)
    over = "SELECT number FROM report ORDER BY received<?, proved DESC, received DESC LIMIT -1 OFFSET ?"
    kept = connection.execute("SELECT count(*) FROM report WHERE received>=?", (now - KEPT_SECONDS,)).fetchone()[0]
    old = [(row[0],) for row in connection.execute(over, (now - KEPT_SECONDS, min(kept, REPORTS)))]
    connection.executemany("DELETE FROM row WHERE report=?", old)
    connection.executemany("DELETE FROM report WHERE number=?", old)
    return True


def _query(connection: sqlite3.Connection, query: str, arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query, arguments)]
