"""mailstack.sqlite3: one engine, one thread, migrations at the start."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from mailstack.store.errors import DataTooNew, NoSpace, StoreFailed

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
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        script = ScriptDirectory.from_config(config)
        try:
            with self._engine.begin() as connection:
                current = MigrationContext.configure(connection).get_current_revision()
                if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
                    raise DataTooNew(f"{self.path} was written by a newer version (revision {current})")
                if current != script.get_current_head():
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
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


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
