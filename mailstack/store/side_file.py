"""A small database beside the mail that may be lost: one thread works on it, and a damaged file is set aside."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from mailstack.log import get_logger
from mailstack.store.disk import Disk
from mailstack.store.errors import from_sqlite_error

P = ParamSpec("P")
R = TypeVar("R")
log = get_logger()


class SideFile:
    """run(), then close(). It is made by `schema` when it is first used; `name` is what thread and log call it."""

    def __init__(self, path: Path, schema: str, name: str) -> None:
        self._path = path
        self._schema = schema
        self._name = name
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call `function(connection, ...)` in the thread, in a transaction. Raises StoreProblem."""

        def work() -> R:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return function(self._connection, *arguments, **named)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except (sqlite3.Error, OSError) as problem:
            raise from_sqlite_error(problem) from problem

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        self._executor.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            aside = f"{self._path}.damaged"
            log.error(f"{self._name}.damaged", kept_as=aside, problem=str(problem))
            Disk().rename(self._path, aside)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(self._schema)
        self._path.chmod(0o600)
        return connection
