"""What was pulled from another IMAP server, by UIDVALIDITY and UID there: `pulled.sqlite3` in the account's folder.

What was pulled and then deleted here is not pulled again. Blocking code.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

FILE = "pulled.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pulled (
    source TEXT, mailbox TEXT, validity INTEGER, uid INTEGER, size INTEGER, digest TEXT, place TEXT, flags TEXT,
    PRIMARY KEY (source, mailbox, validity, uid)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_digest ON pulled (source, mailbox, digest);
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """A mailbox of the other server. `source`: who, and where."""

    source: str
    mailbox: str
    validity: int


@dataclass(frozen=True, slots=True)
class Row:
    """A message that came from there. `place`: the mailbox here."""

    uid: int
    size: int
    digest: str
    place: str
    flags: str  # as the other server had them last


def unique(origin: Origin, uid: int) -> str:
    """The EMAILID of a message that was pulled: should all records be lost, it is known by that."""
    text = f"{origin.source}\0{origin.mailbox}\0{origin.validity}\0{uid}"
    return "p" + hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


class Pulled:
    """One account's. Each call opens the file: there is one for some hundred messages."""

    def __init__(self, account: Path) -> None:
        self._path = account / FILE

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10)
        connection.executescript(_SCHEMA)
        return connection

    def rows(self, origin: Origin) -> list[Row]:
        """In the order of UIDs."""
        sql = "SELECT uid, size, digest, place, flags FROM pulled WHERE (source, mailbox, validity) = (?, ?, ?) ORDER BY uid"
        with closing(self._open()) as connection:
            return [Row(*row) for row in connection.execute(sql, (origin.source, origin.mailbox, origin.validity))]

    def digests(self, origin: Origin) -> set[str]:
        """Of all that ever came from the mailbox, also by another UIDVALIDITY."""
        with closing(self._open()) as connection:
            sql = "SELECT digest FROM pulled WHERE (source, mailbox) = (?, ?) AND validity != ?"
            return {digest for (digest,) in connection.execute(sql, (origin.source, origin.mailbox, origin.validity))}

    def mark(self, origin: Origin, flags: dict[int, str]) -> None:
        """Remember what the other server says now."""
        sql = "UPDATE pulled SET flags = ? WHERE (source, mailbox, validity, uid) = (?, ?, ?, ?)"
        with closing(self._open()) as connection, connection:
            values = [(text, origin.source, origin.mailbox, origin.validity, uid) for uid, text in flags.items()]
            connection.executemany(sql, values)

    def add(self, origin: Origin, rows: Iterable[Row]) -> None:
        """Durable when it returns."""
        values = [
            (origin.source, origin.mailbox, origin.validity, row.uid, row.size, row.digest, row.place, row.flags)
            for row in rows
        ]
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO pulled VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
