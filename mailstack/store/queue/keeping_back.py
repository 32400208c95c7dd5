"""A queue that came out of a backup is kept back: what waited then may have left since. Blocking code, where no server runs."""

import contextlib
import sqlite3
from pathlib import Path

import orjson

from mailstack.log import get_logger
from mailstack.store.queue.queue import Queued, RecipientState, read_envelope, state_of

log = get_logger()


def keep_back(folder: Path, database: Path) -> int:
    """Hold every message that is not held for another reason; durable. How many there are. Raises sqlite3.Error."""
    held = 0
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # the start sets a damaged one aside
                held += _keep_back(connection, path)
    return held


def _keep_back(connection: sqlite3.Connection, path: Path) -> bool:
    envelope, offset = read_envelope(path)
    row = connection.execute("SELECT held, state FROM queued WHERE id=?", (envelope.id,)).fetchone()
    if row is None:
        fresh = Queued(envelope, 0, offset, [RecipientState() for _ in envelope.recipients], restored=True)
        connection.execute(
            "INSERT INTO queued (id, next_attempt, held, state) VALUES (?,0,1,?)", (envelope.id, state_of(fresh))
        )
        return True
    if row[0]:
        return False
    state = orjson.dumps({**orjson.loads(row[1]), "restored": True})
    connection.execute("UPDATE queued SET held=1, state=? WHERE id=?", (state, envelope.id))
    return True
