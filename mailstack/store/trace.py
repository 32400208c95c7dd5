"""What became of messages: a small table, written in batches, kept for 30 days. Losing its last second loses no mail.

docs/trace.md names every event and its fields.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from mailstack.message.collation import casemap
from mailstack.message.header import decode_words
from mailstack.store.tasks import ended

KEPT_SECONDS = 30 * 86400
PRUNE_SECONDS = 3600
PRUNE_EVENTS = 200_000  # or so many
EVENTS = 5_000_000  # what strangers may fill the disk with: some 3 GB
BATCH = 200
SHOWN = 50  # messages of an address, the newest
REMEMBERED = 50_000  # copies that were fetched
SUBJECT_LIMIT = 200  # characters of a subject
SCHEMA = """
CREATE TABLE IF NOT EXISTS event
    (time REAL NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL, subject TEXT);
CREATE INDEX IF NOT EXISTS event_id ON event (id);
CREATE INDEX IF NOT EXISTS event_time ON event (time);
CREATE TABLE IF NOT EXISTS word (word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (word, id)) WITHOUT ROWID;
"""

# A batch in one statement: between rows of several, SQLite would wait for the interpreter each time.
RECORDED = """
INSERT INTO event SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    CAST(json_extract(value, '$[3]') AS BLOB), json_extract(value, '$[4]') FROM json_each(?)
"""
WORDS = "INSERT OR IGNORE INTO word SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)"

# Once for each account, also after a restart.
FETCHED = """
INSERT INTO event SELECT ?1, ?2, ?3, ?4, ?5
WHERE NOT EXISTS
    (SELECT 1 FROM event WHERE id = ?2 AND name = ?3 AND json_extract(CAST(fields AS TEXT), '$.account') = ?6)
"""
# Subjects are compared as they are kept, by casemap(); SQLite looks through them without this process's interpreter.
CANDIDATES = """
SELECT DISTINCT word.id FROM word JOIN event ON event.id = word.id
WHERE word.word = ? AND event.name IN ('arrived', 'accepted', 'refused') {words} ORDER BY word.id DESC LIMIT ?
"""
WORD = """
AND (instr(coalesce(event.subject, ''), ?) OR instr(lower(coalesce(json_extract(CAST(fields AS TEXT), '$.sender'), '')), ?))
"""
SENT = """
AND ? IN (lower(coalesce(json_extract(CAST(fields AS TEXT), '$.account'), '')),
    lower(coalesce(json_extract(CAST(fields AS TEXT), '$.sender'), '')))
"""
# By whose domain: what hosts of others said last of each message. A bare column is that of the row with the highest time.
RECEIVERS = """
WITH last AS (
    SELECT max(time) AS time, name, lower(json_extract(CAST(fields AS TEXT), '$.to')) AS receiver,
        json_extract(CAST(fields AS TEXT), '$.reply') AS reply
    FROM event WHERE time>=? AND name IN ('delivered', 'deferred', 'failed')
        AND json_extract(CAST(fields AS TEXT), '$.mailbox') IS NULL
    GROUP BY id, receiver)
SELECT substr(receiver, instr(receiver, '@') + 1) AS domain, sum(name='delivered'), sum(name='deferred'), sum(name='failed'),
    max(CASE WHEN name<>'delivered' THEN printf('%015.3f ', time) || coalesce(reply, '') END), max(time)
FROM last GROUP BY domain ORDER BY count(*) DESC LIMIT ?
"""
FORGET_SUBJECTS = """
UPDATE event SET subject = NULL, fields = CAST(json_remove(CAST(fields AS TEXT), '$.subject') AS BLOB) WHERE subject IS NOT NULL
"""
# Of too many the refused ones go first: whoever floods a server pushes nobody's mail out of its memory.
REFUSED_GO = "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE name = 'refused' ORDER BY rowid LIMIT ?)"
OLDEST_GO = "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event ORDER BY rowid LIMIT ?)"
Event = tuple[float, str, str, dict[str, Any]]


class Trace:
    """record() on the event loop costs nothing; a thread writes once a second."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, *, subjects: bool = True, most: int = EVENTS
    ) -> None:
        """`subjects`: whether subjects are kept; without, those that were kept before are forgotten. `most`: events in all."""
        self._path = path
        self._clock = clock
        self.subjects = subjects
        self._events: list[Event] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="trace")
        self._task: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._pruned = 0.0
        self._written = 0  # since then
        self._most = most
        self._fetched: set[str] = set()
        self.lost = 0
        self.on_event: list[Callable[[str, str, dict[str, Any]], None]] = []  # told at once, on the event loop

    def record(self, id: str, name: str, moment: float | None = None, **fields: Any) -> None:
        """An event of a message, now or at a `moment`. Values that are addresses or Message-IDs can be asked for later.

        A `subject` is the field's value as it came, in octets: it is decoded where that holds up nobody.
        """
        self._events.append((self._clock() if moment is None else moment, id, name, fields))
        for told in self.on_event:
            told(id, name, fields)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_soon())

    def first_fetch(self, unique: str, account: str, protocol: str = "", client: str = "") -> str | None:
        """Record that an account fetched its copy of a delivery (<id>.<recipient number>). The id if it is the first time.

        `client`: what the program says of itself.

        What was recorded before the last start is not written a second time, but None is not promised for it.
        """
        id, found, _ = unique.partition(".")
        if not found or unique in self._fetched:
            return None
        if len(self._fetched) >= REMEMBERED:
            self._fetched.clear()
        self._fetched.add(unique)
        self.record(id, "fetched", account=account, protocol=protocol, client=client)
        return id

    async def _write_soon(self) -> None:
        while self._events:
            if len(self._events) < BATCH:
                await asyncio.sleep(1.0)
            events, self._events = self._events, []
            await self._flush(events)

    async def _flush(self, events: list[Event]) -> None:
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
            if all(column[1] != "subject" for column in connection.execute("PRAGMA table_info(event)")):
                connection.execute("ALTER TABLE event ADD COLUMN subject TEXT")
            if not self.subjects:
                with connection:
                    connection.execute(FORGET_SUBJECTS)
            self._connection = connection
        return self._connection

    def _write(self, events: list[Event]) -> None:
        connection = self._open()
        with connection:
            rows = [self._row(*event) for event in events]
            connection.execute(RECORDED, (_json([row for row in rows if row[2] != "fetched"]),))
            connection.executemany(FETCHED, [_single(row) for row in rows if row[2] == "fetched"])
            words = {(word, id) for _, id, _, fields in events for word in _words(fields)}
            connection.execute(WORDS, (_json(sorted(words)),))
            now = self._clock()
            self._written += len(events)
            if not self._pruned <= now < self._pruned + PRUNE_SECONDS or self._written >= min(PRUNE_EVENTS, self._most):
                self._pruned, self._written = now, 0
                connection.execute("DELETE FROM event WHERE time<?", (now - KEPT_SECONDS,))
                self._make_room(connection)
                # Ids sort by time.
                connection.execute("DELETE FROM word WHERE id<(SELECT coalesce(min(id), '~') FROM event)")

    def _make_room(self, connection: sqlite3.Connection) -> None:
        (rows,) = connection.execute("SELECT count(*) FROM event").fetchone()
        if rows <= self._most:
            return
        gone = connection.execute(REFUSED_GO, (rows - self._most,)).rowcount
        connection.execute(OLDEST_GO, (rows - self._most - gone,))
        connection.execute("DELETE FROM word WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.id = word.id)")

    def _row(
        self, moment: float, id: str, name: str, fields: dict[str, Any]
    ) -> tuple[float, str, str, dict[str, Any], str | None]:
        raw = fields.get("subject")
        if not isinstance(raw, bytes):
            return moment, id, name, fields, None
        text = " ".join(decode_words(raw[: 4 * SUBJECT_LIMIT]).split())[:SUBJECT_LIMIT] if self.subjects else ""
        fields = {key: value for key, value in fields.items() if key != "subject"}
        if text:
            fields["subject"] = text
        return moment, id, name, fields, casemap(text) if text else None

    async def find(self, text: str) -> list[dict[str, Any]]:
        """Events of messages with this id, Message-ID or address, oldest first."""
        found: list[dict[str, Any]] = await self._ask(self._find, text)
        return found

    def _find(self, text: str) -> list[dict[str, Any]]:
        connection = self._open()
        wanted = text.strip().strip("<>").lower()
        query = "SELECT word.id FROM word WHERE word=? ORDER BY id DESC LIMIT ?"
        return self._stories({wanted, *(row[0] for row in connection.execute(query, (wanted, SHOWN)))})

    def _stories(self, ids: set[str]) -> list[dict[str, Any]]:
        connection = self._open()
        events: dict[str, list[dict[str, Any]]] = {}
        query = "SELECT time, name, fields FROM event WHERE id=? ORDER BY time, rowid"
        while ids:
            id = ids.pop()
            events[id] = [
                {"time": moment, "id": id, "event": name, **orjson.loads(fields)}
                for moment, name, fields in connection.execute(query, (id,))
            ]
            # Parts of a message that went into the queue under another name are its story too.
            ids |= {event["queued_as"] for event in events[id] if event.get("queued_as")} - events.keys()
        return [event for id in sorted(events) for event in events[id]]

    async def candidates(self, address: str, words: str, limit: int = SHOWN, *, sent: bool = False) -> list[str]:
        """Ids of messages from or to an address whose subject or sender holds each of these words, the newest first.

        `sent`: only those that it sent.
        """
        found: list[str] = await self._ask(self._candidates, address.strip().strip("<>").lower(), words, limit, sent)
        return found

    def _candidates(self, address: str, words: str, limit: int, sent: bool) -> list[str]:
        connection = self._open()
        asked = [casemap(word) for word in words.split()][:20]
        query = CANDIDATES.format(words=WORD * len(asked) + SENT * sent)
        both = [word for one in asked for word in (one, one.lower())]
        found = [row[0] for row in connection.execute(query, (address, *both, *[address] * sent, limit))]
        return list(dict.fromkeys(self._whole(id) for id in found))

    def _whole(self, id: str) -> str:
        """What was queued under another id is part of the message that it came with."""
        row = self._open().execute("SELECT id FROM word WHERE word=? AND id<>? LIMIT 1", (id, id)).fetchone()
        return str(row[0]) if row is not None else id

    async def story(self, id: str) -> list[dict[str, Any]]:
        """All events of one message, and of what was queued of it under other ids, oldest first."""
        found: list[dict[str, Any]] = await self._ask(lambda: self._stories({self._whole(id)}))
        return sorted(found, key=lambda event: event["time"])

    async def receivers(self, since: float, limit: int) -> list[dict[str, Any]]:
        """By domain of others: how many were taken over, are put off, were refused; the last word of those that did not go."""
        found: list[dict[str, Any]] = await self._ask(self._receivers, since, limit)
        return found

    def _receivers(self, since: float, limit: int) -> list[dict[str, Any]]:
        rows = self._open().execute(RECEIVERS, (since, limit))
        names = ("domain", "delivered", "deferred", "refused", "reply", "last")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [{**row, "reply": row["reply"].partition(" ")[2] if row["reply"] else None} for row in found]

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What is asked is answered with all that was recorded by now. Nothing where the disk fails."""
        events, self._events = self._events, []
        await self._flush(events)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except (sqlite3.Error, OSError):
            return []

    async def close(self) -> None:
        await ended(self._task)
        events, self._events = self._events, []
        if events:
            await self._flush(events)
        self._executor.shutdown()
        if self._connection is not None:
            self._connection.close()


def _words(fields: dict[str, Any]) -> list[str]:
    found = []
    for key in ("sender", "to", "account", "message_id", "queued_as"):
        value = fields.get(key)
        values = value if isinstance(value, list) else [value]
        found += [str(one).strip("<>").lower() for one in values if one]
    return found


def _json(rows: Sequence[Any]) -> str:
    """What is no text at all (a lone surrogate) is left out, with its row."""
    try:
        return orjson.dumps(rows, default=str).decode()
    except TypeError:
        return orjson.dumps([row for row in rows if _sound(row)], default=str).decode()


def _sound(row: Any) -> bool:
    try:
        orjson.dumps(row, default=str)
    except TypeError:
        return False
    return True


def _single(row: tuple[float, str, str, dict[str, Any], str | None]) -> tuple[Any, ...]:
    moment, id, name, fields, subject = row
    return moment, id, name, orjson.dumps(fields, default=str), subject, fields.get("account")
