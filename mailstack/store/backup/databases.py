"""SQLite databases, copied while others write to them. Blocking code."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from mailstack.store.errors import StoreFailed


def copy_database(source: Path, target: Path) -> None:
    """By SQLite's own backup: what was committed when it began is in it, whole. The copy has no -wal beside it."""
    target.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=30.0)) as reader,
        contextlib.closing(sqlite3.connect(target)) as writer,
    ):
        # In one step: readers of a database in WAL mode keep no writer waiting, and no commit makes it begin anew.
        reader.backup(writer, pages=-1)
        writer.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


def check_database(path: Path) -> None:
    """Raises StoreFailed for one that is damaged."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            rows = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as problem:
        raise StoreFailed(f"{path.name}: {problem}") from problem
    if rows != ["ok"]:
        raise StoreFailed(f"{path.name}: {'; '.join(rows)}")


def count_rows(path: Path) -> dict[str, int]:
    """By table. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
        ]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608
