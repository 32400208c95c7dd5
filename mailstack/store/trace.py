"""What became of messages: a small table, written in batches, kept for 30 days. Losing its last second loses no mail."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

KEPT_SECONDS = 30 * 86400
PRUNE_SECONDS = 3600
BATCH = 200
SHOWN = 50  # messages of an address, the newest
REMEMBERED = 50_000  # copies that were fetched
SCHEMA = """
CREATE TABLE IF NOT EXISTS event (time REAL NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_id ON event (id);
CREATE INDEX IF NOT EXISTS event_time ON event (time);
CREATE TABLE IF NOT EXISTS word (word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (word, id)) WITHOUT ROWID;
"""

# Once for each account, also after a restart.
FETCHED = """
INSERT INTO event SELECT ?1, ?2, ?3, ?4
WHERE NOT EXISTS (SELECT 1 FROM event WHERE id = ?2 AND name = ?3 AND fields = ?4)
"""


class Trace:
    """record() on the event loop costs nothing; a thread writes once a second."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._events: list[tuple[float, str, str, dict[str, Any]]] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="trace")
        self._task: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._pruned = 0.0
        self._fetched: set[str] = set()
        self.lost = 0

    def record(self, id: str, name: str, moment: float | None = None, **fields: Any) -> None:
        """An event of a message, now or at a `moment`. Values that are addresses or Message-IDs can be asked for later."""
        self._events.append((self._clock() if moment is None else moment, id, name, fields))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    def first_fetch(self, unique: str, account: str) -> str | None:
        """Record that an account fetched its copy of a delivery (<id>.<recipient number>). The id if it is the first time.

        What was recorded before the last start is not written a second time, but None is not promised for it.
        """
        id, found, _ = unique.partition(".")
        if not found or unique in self._fetched:
            return None
        if len(self._fetched) >= REMEMBERED:
            self._fetched.clear()
        self._fetched.add(unique)
        self.record(id, "fetched", account=account)
        return id

    async def _write_soon(self) -> None:
        while self._events:
            if len(self._events) < BATCH:
                await asyncio.sleep(1.0)
            events, self._events = self._events, []
            await self._flush(events)

    async def _flush(self, events: list[tuple[float, str, str, dict[str, Any]]]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write, events)
        except (sqlite3.Error, OSError):
            self.lost += len(events)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(SCHEMA)
            self._connection = connection
        return self._connection

    def _write(self, events: list[tuple[float, str, str, dict[str, Any]]]) -> None:
        connection = self._open()
        with connection:
            rows = [(moment, id, name, orjson.dumps(fields, default=str)) for moment, id, name, fields in events]
            connection.executemany("INSERT INTO event VALUES (?,?,?,?)", [row for row in rows if row[2] != "fetched"])
            connection.executemany(FETCHED, [row for row in rows if row[2] == "fetched"])
            words = {(word, id) for _, id, _, fields in events for word in _words(fields)}
            connection.executemany("INSERT OR IGNORE INTO word VALUES (?,?)", sorted(words))
            now = self._clock()
            if not self._pruned <= now < self._pruned + PRUNE_SECONDS:
                self._pruned = now
                connection.execute("DELETE FROM event WHERE time<?", (now - KEPT_SECONDS,))
                # Ids sort by time.
                connection.execute("DELETE FROM word WHERE id<(SELECT coalesce(min(id), '~') FROM event)")

    async def find(self, text: str) -> list[dict[str, Any]]:
        """Events of messages with this id, Message-ID or address, oldest first."""
        events, self._events = self._events, []
        await self._flush(events)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, text)

    def _find(self, text: str) -> list[dict[str, Any]]:
        connection = self._open()
        wanted = text.strip().strip("<>").lower()
        query = "SELECT word.id FROM word WHERE word=? ORDER BY id DESC LIMIT ?"
        ids = {wanted, *(row[0] for row in connection.execute(query, (wanted, SHOWN)))}
        events: dict[str, list[dict[str, Any]]] = {}
        while ids:
            id = ids.pop()
            query = "SELECT time, name, fields FROM event WHERE id=? ORDER BY time, rowid"
            events[id] = [
                {"time": moment, "id": id, "event": name, **orjson.loads(fields)}
                for moment, name, fields in connection.execute(query, (id,))
            ]
            # Parts of a message that went into the queue under another name are its story too.
            ids |= {event["queued_as"] for event in events[id] if event.get("queued_as")} - events.keys()
        return [event for id in sorted(events) for event in events[id]]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        events, self._events = self._events, []
        if events:
            await self._flush(events)
        self._executor.shutdown()
        if self._connection is not None:
            self._connection.close()


def _words(fields: dict[str, Any]) -> list[str]:
    found = []
    for key in ("sender", "to", "message_id", "queued_as"):
        value = fields.get(key)
        values = value if isinstance(value, list) else [value]
        found += [str(one).strip("<>").lower() for one in values if one]
    return found
