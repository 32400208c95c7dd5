"""What was seen of mail in the name of domains that publish DMARC, by day, for the reports to them (RFC 7489 7.2).

Kept beside the results of TLS. A crash loses the last minutes; a flood loses what is over the limits, never memory.
"""

import sqlite3
from dataclasses import astuple, dataclass

from mailstack.store.transport import DAY, RESULTS_KEPT, TransportStore

SIGHTINGS = 20_000  # different ones that wait to be written; more are not counted
SIGHTINGS_A_DAY = 200_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS sighting (
    day INTEGER NOT NULL, domain TEXT NOT NULL, header_from TEXT NOT NULL, source TEXT NOT NULL, disposition TEXT NOT NULL,
    dkim TEXT NOT NULL, spf TEXT NOT NULL, envelope_from TEXT NOT NULL, signatures TEXT NOT NULL, sender TEXT NOT NULL,
    reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, header_from, source, disposition, dkim, spf, envelope_from, signatures, sender, reason))
    WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message, as a report counts it. `signatures`: "domain selector result" a line; `sender`: "domain result" of SPF."""

    domain: str  # whose policy was found
    header_from: str
    source: str
    disposition: str
    dkim: str  # aligned: "pass" or "fail"
    spf: str
    envelope_from: str
    signatures: str
    sender: str
    reason: str = ""


class Sightings:
    """note() costs nothing; flush() writes. Raises StoreProblem."""

    def __init__(self, store: TransportStore) -> None:
        self._store = store
        self._waiting: dict[tuple[int, Sighting], int] = {}

    def note(self, sighting: Sighting, now: float) -> None:
        key = (int(now // DAY), sighting)
        if key in self._waiting or len(self._waiting) < SIGHTINGS:
            self._waiting[key] = self._waiting.get(key, 0) + 1

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if waiting:
            await self._store.run(_write, waiting)

    async def of(self, day: int) -> dict[str, list[tuple[Sighting, int]]]:
        """By domain, of a day, the most frequent first."""
        await self.flush()
        return await self._store.run(_read, day)

    async def reported(self, day: int, domain: str, now: float) -> None:
        """A domain has its report of a day."""
        await self._store.run(_forget, day, domain, now)


def _write(connection: sqlite3.Connection, waiting: dict[tuple[int, Sighting], int]) -> None:
    connection.execute(SCHEMA)
    for day in {day for day, _ in waiting}:
        have = connection.execute("SELECT count(*) FROM sighting WHERE day=?", (day,)).fetchone()[0]
        room = max(0, SIGHTINGS_A_DAY - have)
        values = [(day, *astuple(one), count) for (other, one), count in waiting.items() if other == day][:room]
        connection.executemany(
            "INSERT INTO sighting VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET count=count+excluded.count", values
        )


def _read(connection: sqlite3.Connection, day: int) -> dict[str, list[tuple[Sighting, int]]]:
    connection.execute(SCHEMA)
    found: dict[str, list[tuple[Sighting, int]]] = {}
    for _, *fields, count in connection.execute("SELECT * FROM sighting WHERE day=? ORDER BY count DESC", (day,)):
        found.setdefault(fields[0], []).append((Sighting(*fields), count))
    return found


def _forget(connection: sqlite3.Connection, day: int, domain: str, now: float) -> None:
    connection.execute(SCHEMA)
    oldest = int((now - RESULTS_KEPT) // DAY)
    connection.execute("DELETE FROM sighting WHERE (day=? AND domain=?) OR day<?", (day, domain, oldest))
