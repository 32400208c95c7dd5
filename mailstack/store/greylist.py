"""Who was asked to come again: (network, sender, recipient), with when, in a small file of its own. Blocking."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DAY = 86400.0
WAITING_KEPT = 3 * DAY  # for those that never came again
PASSED_KEPT = 36 * DAY  # since their last message
ROWS = 500_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS triplet (
    network TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,
    first REAL NOT NULL, last REAL NOT NULL, PRIMARY KEY (network, sender, recipient)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS triplet_last ON triplet (last);
CREATE TABLE IF NOT EXISTS passed (
    network TEXT NOT NULL, domain TEXT NOT NULL, last REAL NOT NULL, PRIMARY KEY (network, domain)
) WITHOUT ROWID;
PRAGMA user_version=1;
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long until a sender may come again, seconds; 0: now."""

    seconds: float
    first: bool = False  # never seen before


class Greylist:
    """Opened when it is first asked. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._pruned = 0.0

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # a power cut makes somebody come once more
            connection.executescript(SCHEMA)
            self._path.chmod(0o600)
            self._connection = connection
        return self._connection

    def ask(self, network: str, sender: str, recipients: Sequence[str], delay: float, now: float) -> Wait:
        """Whether the sender waited long enough for any of the recipients; it is written down that he came."""
        connection = self._open()
        domain = sender.rpartition("@")[2]
        connection.execute("BEGIN IMMEDIATE")
        try:
            wait = self._ask(connection, network, sender, domain, recipients, delay, now)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return wait

    def _ask(
        self,
        connection: sqlite3.Connection,
        network: str,
        sender: str,
        domain: str,
        recipients: Sequence[str],
        delay: float,
        now: float,
    ) -> Wait:
        self._prune(connection, now)
        query = "UPDATE passed SET last = ? WHERE network = ? AND domain = ? AND last > ?"
        if connection.execute(query, (now, network, domain, now - PASSED_KEPT)).rowcount:
            return Wait(0.0)
        firsts = []
        for recipient in recipients:
            row = connection.execute(
                "SELECT first FROM triplet WHERE network = ? AND sender = ? AND recipient = ? AND last > ?",
                (network, sender, recipient, now - WAITING_KEPT),
            ).fetchone()
            if row is not None:
                firsts.append(row[0])
        if firsts and now - min(firsts) >= delay:
            connection.execute("INSERT OR REPLACE INTO passed VALUES (?,?,?)", (network, domain, now))
            return Wait(0.0)
        connection.executemany(
            """INSERT INTO triplet VALUES (?1,?2,?3,?4,?4)
               ON CONFLICT DO UPDATE SET first = CASE WHEN last > ?5 THEN first ELSE ?4 END, last = ?4""",
            [(network, sender, recipient, now, now - WAITING_KEPT) for recipient in recipients],
        )
        return Wait(delay - (now - min(firsts)) if firsts else delay, first=not firsts)

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        if self._pruned <= now < self._pruned + 3600:
            return
        self._pruned = now
        connection.execute("DELETE FROM triplet WHERE last < ?", (now - WAITING_KEPT,))
        connection.execute("DELETE FROM passed WHERE last < ?", (now - PASSED_KEPT,))
        (rows,) = connection.execute("SELECT count(*) FROM triplet").fetchone()
        if rows > ROWS:
            connection.execute(
                """DELETE FROM triplet WHERE (network, sender, recipient) IN
                   (SELECT network, sender, recipient FROM triplet ORDER BY last LIMIT ?)""",
                (rows - ROWS,),
            )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
