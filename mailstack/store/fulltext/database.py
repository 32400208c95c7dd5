"""An account's fulltext.sqlite3: a trigram index and the folded text of every message. A cache: it may go at any time.

A message's row number says which it is: the mailbox's number and the UID. Both are never given again, so that what one
statement saw is true for the next one or is gone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.text import PIECE, Searchable

VERSION = 1
PACK = 256
FIELDS = (
    "FROM", "TO", "CC", "BCC", "SUBJECT", "SENDER", "REPLY-TO", "MESSAGE-ID", "IN-REPLY-TO", "REFERENCES", "LIST-ID",
)  # fmt: skip
SENT = "sent"
SIZE, DATE = "size", "date"
NEVER = -(1 << 31)  # the day of a message without one
MESSAGE = "\x01"  # ends a message in a pack of fields
SCHEMA = f"""
CREATE TABLE mailbox (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL);
CREATE TABLE pack (mailbox INTEGER, number INTEGER, uids BLOB NOT NULL, PRIMARY KEY (mailbox, number));
CREATE TABLE field (mailbox INTEGER, name TEXT, number INTEGER, texts BLOB NOT NULL, PRIMARY KEY (mailbox, name, number));
CREATE TABLE text (message INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE VIRTUAL TABLE trigram USING fts5
    (text, content='', columnsize=0, detail=none, tokenize="trigram case_sensitive 1");
PRAGMA user_version={VERSION};
"""


class Unusable(Exception):
    """The file is broken, or of another version: it is to be made anew."""


def unpack(data: bytes) -> array[int]:
    numbers = array("I")
    numbers.frombytes(data)
    return numbers


def row_of(mailbox: int, uid: int) -> int:
    return mailbox << 32 | uid


def squeeze(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8"), 1)


def head_of(text: Searchable) -> str:
    """The message's own fields, and after an empty piece those of its parts."""
    return text.head + PIECE + PIECE + text.mime


@dataclass(frozen=True, slots=True)
class Kept:
    """A message: its text, and what tells it from others."""

    text: Searchable
    size: int = 0
    date: int = 0


class Database:
    """One connection. All methods block; they raise sqlite3.Error."""

    def __init__(self, path: str, *, writes: bool) -> None:
        """A database that is not there is made, if this one `writes`; else FileNotFoundError."""
        self.path = path
        if not writes:
            os.stat(path)
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=32)
        self.connection.execute("PRAGMA busy_timeout=5000")
        self.connection.execute("PRAGMA cache_size=-4096")
        if writes:
            self._prepare()
        else:
            self.connection.execute("PRAGMA query_only=1")
            if self._version() != VERSION:
                self.connection.close()
                raise Unusable(path)
        self._file = os.stat(path)

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def _prepare(self) -> None:
        connection = self.connection
        connection.execute("PRAGMA journal_mode=WAL")
        # A power cut may take the last messages back: they are looked for in their files then, and taken in again.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA journal_size_limit=4194304")
        version = self._version()
        if version not in (0, VERSION):
            connection.close()
            raise Unusable(self.path)
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")

    def is_there(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self._file.st_dev, self._file.st_ino)

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()

    # What is there --------------------------------------------------------------------------------------------------

    def mailbox(self, name: str) -> int | None:
        row = self.connection.execute("SELECT number FROM mailbox WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def packs(self, mailbox: int) -> list[tuple[int, array[int]]]:
        """(number, UIDs), in order."""
        rows = self.connection.execute("SELECT number, uids FROM pack WHERE mailbox=? ORDER BY number", (mailbox,))
        return [(number, unpack(uids)) for number, uids in rows]

    def uids(self, name: str) -> array[int]:
        """All that the index has of a mailbox, ascending."""
        found = array("I")
        mailbox = self.mailbox(name)
        for _, uids in self.packs(mailbox) if mailbox is not None else ():
            found.extend(uids)
        return found

    def compare(self, name: str, uids: array[int], sizes: array[int], dates: array[int]) -> tuple[Iterable[int], Iterable[int]]:
        """Which messages are lacking, and which are there that are not these."""
        mailbox = self.mailbox(name)
        known = self.uids(name)
        columns = [array("Q"), array("q")]
        for column, kind in zip(columns, (SIZE, DATE), strict=True):
            for _, numbers in self.fields(mailbox, kind) if mailbox is not None else ():
                column.frombytes(numbers)
        if known == uids and columns == [sizes, dates]:
            return (), ()
        have = set(zip(known, *columns, strict=True))
        wanted = set(zip(uids, sizes, dates, strict=True))
        return [uid for uid, _, _ in wanted - have], [uid for uid, _, _ in have - wanted]

    def fields(self, mailbox: int, name: str) -> Iterator[tuple[int, bytes]]:
        """(number of the pack, its texts)."""
        return self.connection.execute(
            "SELECT number, texts FROM field WHERE mailbox=? AND name=? ORDER BY number", (mailbox, name)
        )

    # Changes --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def add(self, name: str, texts: dict[int, Kept]) -> None:
        """Take messages in, given by UID."""
        with self.change():
            self.connection.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (name,))
            mailbox = self.mailbox(name)
            assert mailbox is not None
            for number in sorted({uid // PACK for uid in texts}):
                self._extend(mailbox, number, {uid: text for uid, text in texts.items() if uid // PACK == number})

    def _extend(self, mailbox: int, number: int, texts: dict[int, Kept]) -> None:
        pack = Pack.load(self.connection, mailbox, number)
        for uid in sorted(texts):
            if uid in pack.messages:
                continue
            text = texts[uid].text
            head = head_of(text)
            pack.put(uid, texts[uid])
            message = row_of(mailbox, uid)
            row = (message, squeeze(head), squeeze(text.body))
            self.connection.execute("INSERT OR REPLACE INTO text VALUES (?,?,?)", row)
            self.connection.execute("INSERT INTO trigram (rowid, text) VALUES (?,?)", (message, indexed(head, text.body)))
        pack.save(self.connection)

    def remove(self, name: str, uids: Iterable[int] | None) -> None:
        """Forget messages, or the whole mailbox."""
        with self.change():
            mailbox = self.mailbox(name)
            if mailbox is None:
                return
            gone = self.uids(name) if uids is None else uids
            by_pack: dict[int, list[int]] = {}
            for uid in gone:
                by_pack.setdefault(uid // PACK, []).append(uid)
            for number, some in by_pack.items():
                pack = Pack.load(self.connection, mailbox, number)
                for uid in some:
                    if pack.messages.pop(uid, None) is not None:
                        self._forget(row_of(mailbox, uid))
                pack.save(self.connection)
            if uids is None:
                self.connection.execute("DELETE FROM mailbox WHERE number=?", (mailbox,))

    def _forget(self, message: int) -> None:
        row = self.connection.execute("SELECT head, body FROM text WHERE message=?", (message,)).fetchone()
        if row is not None:
            # A table without content forgets what it is told the content was.
            text = indexed(*(zlib.decompress(blob).decode("utf-8") for blob in row))
            self.connection.execute("INSERT INTO trigram (trigram, rowid, text) VALUES ('delete',?,?)", (message, text))
            self.connection.execute("DELETE FROM text WHERE message=?", (message,))


def indexed(head: str, body: str) -> str:
    """What the trigrams are of. The tokenizer would stop at a NUL; what is found across pieces is refused later."""
    return f"{head}{PIECE}{body}".replace(PIECE, "\n")


class Pack:
    """The short fields of up to 256 messages, as they are kept: column by column."""

    def __init__(self, mailbox: int, number: int) -> None:
        self.mailbox = mailbox
        self.number = number
        # UID -> day, size, date, a text for each of FIELDS
        self.messages: dict[int, tuple[int, int, int, list[str]]] = {}

    @classmethod
    def load(cls, connection: sqlite3.Connection, mailbox: int, number: int) -> Pack:
        pack = cls(mailbox, number)
        row = connection.execute("SELECT uids FROM pack WHERE mailbox=? AND number=?", (mailbox, number)).fetchone()
        if row is None:
            return pack
        columns: dict[str, bytes] = {}
        for name in (SENT, SIZE, DATE, *FIELDS):
            found = connection.execute(
                "SELECT texts FROM field WHERE mailbox=? AND name=? AND number=?", (mailbox, name, number)
            ).fetchone()
            columns[name] = found[0]
        days, sizes, dates = (array(kind, columns[name]) for kind, name in (("i", SENT), ("Q", SIZE), ("q", DATE)))
        texts = [columns[name].decode("utf-8").split(MESSAGE) for name in FIELDS]
        for place, uid in enumerate(unpack(row[0])):
            pack.messages[uid] = (days[place], sizes[place], dates[place], [column[place] for column in texts])
        return pack

    def put(self, uid: int, kept: Kept) -> None:
        text = kept.text
        texts = ["".join(PIECE + value for value in text.values(name)) for name in FIELDS]
        day = NEVER if text.sent is None or not NEVER < text.sent < -NEVER else text.sent
        self.messages[uid] = (day, kept.size, kept.date, texts)

    def save(self, connection: sqlite3.Connection) -> None:
        uids = sorted(self.messages)
        where = (self.mailbox, self.number)
        if not uids:
            connection.execute("DELETE FROM pack WHERE mailbox=? AND number=?", where)
            connection.execute("DELETE FROM field WHERE mailbox=? AND number=?", where)
            return
        connection.execute("INSERT OR REPLACE INTO pack VALUES (?,?,?)", (*where, array("I", uids).tobytes()))
        kept = [self.messages[uid] for uid in uids]
        days, sizes, dates = array("i", [one[0] for one in kept]), array("Q", [one[1] for one in kept]), array("q")
        dates.extend(one[2] for one in kept)
        rows = [
            (self.mailbox, name, self.number, column.tobytes()) for name, column in ((SENT, days), (SIZE, sizes), (DATE, dates))
        ]
        for place, name in enumerate(FIELDS):
            texts = MESSAGE.join(one[3][place] for one in kept).encode("utf-8")
            rows.append((self.mailbox, name, self.number, texts))
        connection.executemany("INSERT OR REPLACE INTO field VALUES (?,?,?,?)", rows)


def put_aside(path: str) -> None:
    """Remove a database that can't be used: it is a cache."""
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(path + end).unlink()
