"""mailstack.sqlite3: one engine, one thread, migrations at the start."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from mailstack.store.disk import Disk
from mailstack.store.errors import NoSpace, StoreFailed

P = ParamSpec("P")
R = TypeVar("R")
NET = "upgrade"  # beside the database: store/upgrading.py
MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """All methods of run() get a connection in the one thread, inside a transaction that commits when they return."""

    def __init__(self, path: Path, migrations: Path = MIGRATIONS, disk: Disk | None = None) -> None:
        self.path = path
        self._migrations = migrations
        self._disk = disk
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        event.listen(self._engine, "connect", _configure)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="database")

    def start(self) -> None:
        """Blocking: bring the schema to this version, on a copy. Raises DataTooNew, StoreFailed."""
        net = self.path.parent / NET
        try:
            if (net / "switch.json").exists() or revision_of(self.path) != newest_revision(self._migrations):
                # Only then: this takes as long to load as all else that a command needs.
                from mailstack.store.upgrading import Upgrade

                upgrade = Upgrade(self.path, self._migrations, self._disk)
                upgrade.finish()
                current = revision_of(self.path)
                if current != newest_revision(self._migrations):
                    upgrade.run(current)
            with self._engine.connect():
                pass
        except DatabaseError as problem:
            raise StoreFailed(f"{self.path}: {problem.orig}") from problem
        except sqlite3.Error as problem:
            raise StoreFailed(f"{self.path}: {problem}") from problem
        self.path.chmod(0o600)

    def run_blocking(self, function: Callable[Concatenate[Connection, P], R], *arguments: P.args, **named: P.kwargs) -> R:
        try:
            with self._engine.begin() as connection:
                return function(connection, *arguments, **named)
        except OperationalError as problem:
            text = str(problem.orig)
            raise (NoSpace(text) if "full" in text else StoreFailed(text)) from problem

    async def run(self, function: Callable[Concatenate[Connection, P], R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call `function(connection, ...)` in the database's thread. Durable when it returns."""
        loop = asyncio.get_running_loop()
        work = functools.partial(self.run_blocking, function, *arguments, **named)
        return await loop.run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown()
        self._engine.dispose()


def newest_revision(migrations: Path = MIGRATIONS) -> str:
    """Of the migrations, whose files are named by it: 0001_first.py."""
    return max(path.name for path in (migrations / "versions").glob("[0-9]*.py")).partition("_")[0]


def revision_of(path: Path) -> str | None:
    """Of a database, whose files are only read; None where it is new. Raises sqlite3.Error."""
    if not path.exists() or not path.stat().st_size:
        return None
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='alembic_version'").fetchone():
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row is not None else None


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
