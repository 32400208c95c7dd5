"""mailstack.sqlite3: one engine, one thread, migrations at the start."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from mailstack.store.errors import NoSpace, StoreFailed

P = ParamSpec("P")
R = TypeVar("R")
MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """All methods of run() get a connection in the one thread, inside a transaction that commits when they return."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        event.listen(self._engine, "connect", _configure)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="database")

    def start(self) -> None:
        """Blocking: bring the schema to this version. Raises DataTooNew, StoreFailed."""
        try:
            with self._engine.begin() as connection:
                current = _revision(connection)
                if current != newest_revision():
                    # Only then: this takes as long to load as all else that a command needs.
                    from mailstack.store.migrating import migrate

                    migrate(connection, current, self.path)
        except DatabaseError as problem:
            raise StoreFailed(f"{self.path}: {problem.orig}") from problem
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


def newest_revision() -> str:
    """Of the migrations, whose files are named by it: 0001_first.py."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _revision(connection: Connection) -> str | None:
    """Of the database; None where it is new."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
