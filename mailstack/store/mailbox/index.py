"""An account's index.sqlite3: a journal with snapshots, and caches. Plain blocking code; the account serialises the calls."""

import contextlib
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

from mailstack.store.disk import Disk
from mailstack.store.errors import DataTooNew
from mailstack.store.mailbox.facts import Damaged, Entry, Head, dump, dump_head, load, load_head, seal, unseal

P = ParamSpec("P")
R = TypeVar("R")
VERSION = 2  # 1: segments without the dates at which messages came
IN_USE = 0x6D61696C  # the application_id while commits may be unflushed
SCHEMA = """
CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL, open INTEGER NOT NULL);
CREATE TABLE head (mailbox TEXT PRIMARY KEY, head BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE segment (mailbox TEXT, number INTEGER, messages BLOB NOT NULL, PRIMARY KEY (mailbox, number));
CREATE TABLE cache (mailbox TEXT, kind TEXT, number INTEGER, items BLOB NOT NULL, PRIMARY KEY (mailbox, kind, number));
CREATE TABLE delivered (name TEXT PRIMARY KEY, uid INTEGER NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class JournalRow:
    seq: int
    entry: Entry
    open: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one mailbox writes: its head and the segments that changed (None deletes one)."""

    mailbox: str
    head: Head
    segments: dict[int, bytes | None]


def _locked(method: Callable[Concatenate["Index", P], R]) -> Callable[Concatenate["Index", P], R]:
    """One thread at a time on the connection."""

    @functools.wraps(method)
    def locked(self: "Index", /, *arguments: P.args, **named: P.kwargs) -> R:
        with self._lock:
            return method(self, *arguments, **named)

    return cast(Callable[Concatenate["Index", P], R], locked)


def damaged(problem: Exception) -> bool:
    """Whether the index itself is broken, and not the disk below it."""
    if isinstance(problem, sqlite3.OperationalError):
        return any(sign in str(problem) for sign in ("no such table", "no such column", "Could not decode"))
    return type(problem) is sqlite3.DatabaseError or isinstance(problem, Damaged)


class Index:
    """All methods block and raise sqlite3.Error; a caller that sees one calls `reopen`."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._lock = threading.Lock()  # caches are read beside the account's turn
        self.fresh = False  # the file was not there, or could not be read
        self.unclean = False  # its last user did not close it: commits that were not flushed may be lost
        self.seal = 0  # a number that its last user left in it, and in a file of the account, when all was said
        self.marked = False  # rows may be missing from now on: a start after a crash must know
        self._open_connection: sqlite3.Connection | None = self._open()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open_connection is None:
            self._open_connection = self._connect()
        return self._open_connection

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as problem:
            if not damaged(problem):
                raise
            self._put_aside()
            return self._connect()

    def _put_aside(self) -> None:
        """The index is a cache: a broken one is made anew from the Maildir."""
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._disk.rename(f"{self._path}{end}", f"{self._path}{end}.broken")

    @_locked
    def start_anew(self, last: int) -> None:
        """After damage. Rows are numbered on from `last`."""
        with contextlib.suppress(sqlite3.Error):
            if self._open_connection is not None:
                self._open_connection.close()
        self._open_connection = None
        self._put_aside()
        self.marked = False
        connection = self._open_connection = self._connect()
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', ?)", (last,))
        self._disk.commit(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level="IMMEDIATE", cached_statements=32)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-512")
        connection.execute("PRAGMA wal_autocheckpoint=400")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            connection.close()
            raise DataTooNew(str(self._path))
        if version == 0:
            self.fresh = True
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        elif version < VERSION:
            # What an older version wrote is read as it is; that one would not read what this one writes.
            connection.execute(f"PRAGMA user_version={VERSION}")
        if version and not self.marked:
            self.seal = connection.execute("PRAGMA application_id").fetchone()[0]
            self.unclean = self.seal == IN_USE
        return connection

    @_locked
    def reopen(self) -> None:
        """After an error: a new connection sees what was really committed. Where none can be made now, the next call tries."""
        with contextlib.suppress(sqlite3.Error):
            if self._open_connection is not None:
                self._open_connection.close()
        self._open_connection = None
        self._open_connection = self._connect()

    @_locked
    def rest(self) -> None:
        """Close the connection until it is needed again: an account that only waits costs no memory for it."""
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None

    @_locked
    def last(self) -> int:
        """The number of the newest row that was ever committed."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name='journal'").fetchone()
        return int(row[0]) if row else 0

    @_locked
    def drop_after(self, seq: int) -> None:
        """Take back rows whose commit failed half-way: they were never answered."""
        self._connection.execute("DELETE FROM journal WHERE seq>?", (seq,))
        self._disk.commit(self._connection)

    @_locked
    def finish(self, closed: int) -> None:
        """The promises of the rows up to `closed` are kept; durable."""
        connection = self._connection
        connection.execute("PRAGMA synchronous=FULL")
        try:
            if connection.execute("UPDATE journal SET open=0 WHERE open=1 AND seq<=?", (closed,)).rowcount:
                self._disk.commit(connection)
        finally:
            connection.rollback()

    @_locked
    def close(self, seal: int | None) -> None:
        """With a seal a snapshot says all; nothing of ours can be lost."""
        if seal is not None:
            connection = self._connection
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA application_id={seal:d}")
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None

    @_locked
    def journal(self) -> list[JournalRow]:
        rows = self._connection.execute("SELECT seq, entry, open FROM journal ORDER BY seq").fetchall()
        return [JournalRow(seq, load(entry), bool(opened)) for seq, entry, opened in rows]

    @_locked
    def heads(self) -> dict[str, Head]:
        return {mailbox: load_head(head) for mailbox, head in self._connection.execute("SELECT mailbox, head FROM head")}

    @_locked
    def segments(self, mailbox: str) -> list[bytes]:
        query = "SELECT messages FROM segment WHERE mailbox=? ORDER BY number"
        return [row[0] for row in self._connection.execute(query, (mailbox,))]

    @_locked
    def commit(
        self, entries: Iterable[Entry], closed: int, deliveries: Iterable[tuple[str, int, int]] = (), *, flush: bool = True
    ) -> int:
        """One commit: the entries, the highest row whose operations are done, names of deliveries. The last row's number.

        Without `flush` a power cut may take it back: only for what the Maildir itself tells (a file with its UID, durable
        in its folder). The first commit is always flushed, with the mark that says that some may be lost.
        """
        connection = self._connection
        connection.execute(f"PRAGMA synchronous={'FULL' if flush or not self.marked else 'NORMAL'}")
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self.marked:
                connection.execute(f"PRAGMA application_id={IN_USE}")
            if closed:
                connection.execute("UPDATE journal SET open=0 WHERE open=1 AND seq<=?", (closed,))
            connection.executemany("INSERT OR IGNORE INTO delivered VALUES (?,?,?)", deliveries)
            last = 0
            for entry in entries:
                row = (dump(entry), bool(entry.operations))
                last = connection.execute("INSERT INTO journal (entry, open) VALUES (?,?)", row).lastrowid or 0
            self._disk.commit(connection)
        except BaseException:
            connection.rollback()
            raise
        self.marked = True
        return last

    @_locked
    def delivered(self, names: list[str]) -> dict[str, int]:
        """Which of the deliveries have been made, with their UIDs."""
        found: dict[str, int] = {}
        for name in names:
            row = self._connection.execute("SELECT uid FROM delivered WHERE name=?", (name,)).fetchone()
            if row:
                found[name] = row[0]
        return found

    @_locked
    def snapshot(self, snapshots: list[Snapshot], closed: int, forget_before: int) -> None:
        """Write heads and segments, and drop the journal up to `closed`, all in one commit."""
        connection = self._connection
        connection.execute("PRAGMA synchronous=FULL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            for snapshot in snapshots:
                head = dump_head(snapshot.head)
                connection.execute("INSERT OR REPLACE INTO head VALUES (?,?)", (snapshot.mailbox, head))
                for number, messages in snapshot.segments.items():
                    if messages is None:
                        connection.execute("DELETE FROM segment WHERE mailbox=? AND number=?", (snapshot.mailbox, number))
                    else:
                        connection.execute(
                            "INSERT OR REPLACE INTO segment VALUES (?,?,?)", (snapshot.mailbox, number, messages)
                        )
            connection.execute("DELETE FROM journal WHERE seq<=?", (closed,))
            connection.execute("DELETE FROM delivered WHERE time<?", (forget_before,))
            self._disk.commit(connection)
        except BaseException:
            connection.rollback()
            raise

    @_locked
    def forget(self, mailbox: str) -> None:
        """A mailbox was deleted."""
        for table in ("head", "segment", "cache"):
            self._connection.execute(f"DELETE FROM {table} WHERE mailbox=?", (mailbox,))  # noqa: S608 - three fixed names
        self._disk.commit(self._connection)

    @_locked
    def cached_numbers(self, mailbox: str, kind: str) -> frozenset[int]:
        """Which packs there are."""
        with contextlib.suppress(sqlite3.Error):
            rows = self._connection.execute("SELECT number FROM cache WHERE mailbox=? AND kind=?", (mailbox, kind))
            return frozenset(number for (number,) in rows)
        return frozenset()

    @_locked
    def cached(self, mailbox: str, kind: str, numbers: list[int]) -> dict[int, bytes]:
        """What is damaged is as good as not there."""
        found: dict[int, bytes] = {}
        query = "SELECT items FROM cache WHERE mailbox=? AND kind=? AND number=?"
        with contextlib.suppress(sqlite3.Error):
            for number in numbers:
                row = self._connection.execute(query, (mailbox, kind, number)).fetchone()
                if row:
                    with contextlib.suppress(Damaged):
                        found[number] = unseal(row[0])
        return found

    @_locked
    def cache(self, mailbox: str, kind: str, items: dict[int, bytes]) -> None:
        """Keep packed answers. Their loss costs time only, so this commit is not flushed."""
        self._connection.execute("PRAGMA synchronous=NORMAL")
        try:
            rows = [(mailbox, kind, number, seal(data)) for number, data in items.items()]
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO cache VALUES (?,?,?,?)", rows)
        finally:
            self._connection.execute("PRAGMA synchronous=FULL")
