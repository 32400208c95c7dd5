"""bayes.sqlite3 of one account: tokens with their counts, which messages were learned, and what is still to be learned.

Blocking; used by one thread (store/learned/door.py). Rows come out in one piece, because sqlite3 takes the GIL once a row.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from mailstack.store.errors import DataTooNew

NAME = "bayes.sqlite3"
VERSION = 1
TOKENS_KEPT = 200_000
TOKENS_AFTER = 150_000  # when there were too many
LEARNED_KEPT = 50_000  # messages
SENDERS_KEPT = 20_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS token (key INTEGER PRIMARY KEY, junk INTEGER NOT NULL, good INTEGER NOT NULL, day INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS learned (id TEXT PRIMARY KEY, junk INTEGER NOT NULL, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS total (junk INTEGER NOT NULL, good INTEGER NOT NULL, changes INTEGER NOT NULL);
INSERT INTO total SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM total);
CREATE TABLE IF NOT EXISTS pending (
    number INTEGER PRIMARY KEY, mailbox TEXT NOT NULL, validity INTEGER NOT NULL, uid INTEGER NOT NULL, lesson INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sender (
    name TEXT PRIMARY KEY, good REAL NOT NULL, junk REAL NOT NULL, wrote REAL NOT NULL, time REAL NOT NULL
) WITHOUT ROWID;
"""
COUNTS = """
SELECT json_group_array(json_array(token.junk, token.good, token.key))
FROM json_each(?) AS wanted CROSS JOIN token ON token.key = wanted.value
"""
SENDERS = """
SELECT json_group_array(json_array(sender.name, sender.good, sender.junk, wrote, time))
FROM json_each(?) AS wanted CROSS JOIN sender ON sender.name = wanted.value
"""
STRANGERS_GO = "DELETE FROM sender WHERE name IN (SELECT name FROM sender WHERE wrote = 0 ORDER BY time LIMIT ?)"
GLANCE = """
SELECT total.junk, total.good, (
    SELECT json_group_array(json_array(sender.name, sender.good, sender.junk, wrote, time))
    FROM json_each(?) AS wanted CROSS JOIN sender ON sender.name = wanted.value
) FROM total
"""
Senders = dict[str, tuple[float, float, float, float]]  # by name: (good, junk, wrote, time)
ADD = """
INSERT INTO token SELECT value, max(?2, 0), max(?3, 0), ?4 FROM json_each(?1) WHERE true
ON CONFLICT (key) DO UPDATE SET junk = max(junk + ?2, 0), good = max(good + ?3, 0), day = max(day, ?4)
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of some tokens: (unwanted, wanted, key) of each that was seen, and how many messages were learned."""

    tokens: tuple[tuple[int, int, int], ...]
    junk: int
    good: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that is to be learned. `lesson`: 1 unwanted, 0 wanted, -1 neither any more."""

    number: int
    mailbox: str
    validity: int
    uid: int
    lesson: int


class LearnedFile:
    """Raises sqlite3.Error, and DataTooNew for a file of a later version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        connection = self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-512")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            connection.close()
            raise DataTooNew(f"{path} was written by a newer version ({version})")
        if version < VERSION:
            path.chmod(0o600)
            connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version={VERSION};COMMIT;")

    def close(self) -> None:
        self._connection.close()

    # Tokens ---------------------------------------------------------------------------------------------------------

    def counts(self, keys: Sequence[int]) -> Counts:
        junk, good, _ = self._connection.execute("SELECT junk, good, changes FROM total").fetchone()
        if not junk + good:
            return Counts((), 0, 0)
        (text,) = self._connection.execute(COUNTS, (orjson.dumps(list(keys)).decode(),)).fetchone()
        return Counts(tuple(map(tuple, orjson.loads(text))), junk, good)

    def learned(self) -> tuple[int, int]:
        """Unwanted and wanted messages."""
        junk, good, _ = self._connection.execute("SELECT * FROM total").fetchone()
        return junk, good

    def totals(self) -> tuple[int, int, int]:
        """Unwanted and wanted messages, and tokens."""
        junk, good, _ = self._connection.execute("SELECT * FROM total").fetchone()
        (tokens,) = self._connection.execute("SELECT count(*) FROM token").fetchone()
        return junk, good, tokens

    def lesson(self, id: str) -> bool | None:
        """What was learned of a message: unwanted or not, None for nothing."""
        row = self._connection.execute("SELECT junk FROM learned WHERE id=?", (id,)).fetchone()
        return None if row is None else bool(row[0])

    def learn(self, id: str, keys: Sequence[int], junk: bool | None, day: int) -> bool:
        """Learn a message, or learn it anew, or forget it (None). False when nothing changed. One transaction."""
        before = self.lesson(id)
        if before is junk:
            return False
        text = orjson.dumps(list(keys)).decode()
        with self._transaction():
            if before is not None:
                self._count(text, before, -1, day)
                self._connection.execute("DELETE FROM learned WHERE id=?", (id,))
            if junk is not None:
                self._count(text, junk, 1, day)
                self._connection.execute("INSERT INTO learned VALUES (?,?,?)", (id, junk, day))
            self._tidy()
        return True

    def _count(self, keys: str, junk: bool, step: int, day: int) -> None:
        self._connection.execute(ADD, (keys, step if junk else 0, 0 if junk else step, day))
        self._connection.execute(
            "UPDATE total SET junk = max(junk + ?, 0), good = max(good + ?, 0)", (step if junk else 0, 0 if junk else step)
        )

    def _tidy(self) -> None:
        """Of too many tokens the oldest go, those that were seen once first; every hundredth time."""
        (changes,) = self._connection.execute("UPDATE total SET changes = changes + 1 RETURNING changes").fetchone()
        if changes % 100:
            return
        (tokens,) = self._connection.execute("SELECT count(*) FROM token").fetchone()
        if tokens > TOKENS_KEPT:
            self._connection.execute(
                "DELETE FROM token WHERE key IN (SELECT key FROM token ORDER BY junk + good > 1, day LIMIT ?)",
                (tokens - TOKENS_AFTER,),
            )
        self._connection.execute("DELETE FROM token WHERE junk + good = 0")
        self._connection.execute(
            "DELETE FROM learned WHERE id IN (SELECT id FROM learned ORDER BY day DESC LIMIT -1 OFFSET ?)", (LEARNED_KEPT,)
        )

    # What is still to be learned ------------------------------------------------------------------------------------

    def put_off(self, mailbox: str, validity: int, uids: Iterable[int], lesson: int) -> None:
        """Write down what is to be learned: durable when it returns."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO pending (mailbox, validity, uid, lesson) VALUES (?,?,?,?)",
                [(mailbox, validity, uid, lesson) for uid in uids],
            )

    def pending(self, limit: int) -> list[Pending]:
        rows = self._connection.execute("SELECT * FROM pending ORDER BY number LIMIT ?", (limit,))
        return [Pending(*row) for row in rows.fetchall()]

    def done(self, numbers: Iterable[int]) -> None:
        with self._transaction():
            self._connection.executemany("DELETE FROM pending WHERE number=?", [(one,) for one in numbers])

    # Senders --------------------------------------------------------------------------------------------------------

    def glance(self, names: Sequence[str]) -> tuple[int, int, Senders]:
        """What learned() and senders() say, in one question: each one gives the interpreter away."""
        junk, good, text = self._connection.execute(GLANCE, (_json(names),)).fetchone()
        return junk, good, _senders(text)

    def senders(self, names: Sequence[str]) -> Senders:
        """(good, junk, wrote, time) of each that is known."""
        (text,) = self._connection.execute(SENDERS, (_json(names),)).fetchone()
        return _senders(text)

    def put_senders(self, rows: Iterable[tuple[str, float, float, float, float]], oldest: float) -> None:
        """(name, good, junk, wrote, time); what was last heard of before `oldest` is forgotten.

        Not flushed at once: judging waits for this thread, and a power cut costs the last mails' word alone.
        """
        self._connection.execute("PRAGMA synchronous=NORMAL")
        try:
            self._put_senders(rows, oldest)
        finally:
            self._connection.execute("PRAGMA synchronous=FULL")

    def _put_senders(self, rows: Iterable[tuple[str, float, float, float, float]], oldest: float) -> None:
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO sender VALUES (?,?,?,?,?)", list(rows))
            (count,) = self._connection.execute("SELECT count(*) FROM sender").fetchone()
            if count > SENDERS_KEPT:
                gone = self._connection.execute("DELETE FROM sender WHERE time < ? AND wrote = 0", (oldest,)).rowcount
                # Whoever makes up senders is forgotten, however new they are; to whom people wrote stays.
                if count - gone > 2 * SENDERS_KEPT:
                    self._connection.execute(STRANGERS_GO, (count - gone - SENDERS_KEPT,))

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


def _json(names: Sequence[str]) -> str:
    return orjson.dumps(list(names)).decode()


def _senders(text: str) -> Senders:
    return {name: (good, junk, wrote, time) for name, good, junk, wrote, time in orjson.loads(text)}


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
