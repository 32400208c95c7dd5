"""The async door to all accounts' bayes.sqlite3: one thread, so that judging and learning never run beside each other."""

import asyncio
import contextlib
import functools
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from mailstack.log import get_logger
from mailstack.store.errors import DataTooNew, StoreFailed
from mailstack.store.learned.file import NAME, LearnedFile

OPEN_FILES = 32
P = ParamSpec("P")
R = TypeVar("R")
log = get_logger()


class LearnedDoor:
    """run() calls functions of a LearnedFile in the thread. Raises StoreFailed when the file can't be used."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="judging")
        self._open: OrderedDict[Path, LearnedFile] = OrderedDict()

    async def hop(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Work that needs no file, in the same thread."""
        work = functools.partial(function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def run(
        self, folder: Path, function: Callable[Concatenate[LearnedFile, P], R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        """Of the account in a folder; its file is made where there is none."""
        return await self.hop(self._with, folder, lambda file: function(file, *arguments, **named))

    def look(self, folders: Sequence[Path], function: Callable[[LearnedFile], R]) -> list[R | None]:
        """In the thread: ask several accounts' files. None where there is none, and where it can't be read."""
        found: list[R | None] = []
        for folder in folders:
            try:
                known = folder in self._open or (folder / NAME).exists()
                found.append(self._with(folder, function) if known else None)
            except (StoreFailed, OSError) as problem:
                log.warning("spam.not_read", folder=folder.name, problem=str(problem))
                found.append(None)
        return found

    def _with(self, folder: Path, function: Callable[[LearnedFile], R]) -> R:
        try:
            return function(self._file(folder))
        except sqlite3.DatabaseError as problem:
            self.forget(folder)
            if "malformed" in str(problem) or "not a database" in str(problem):
                # Nothing can be made of it: kept for whoever wants to look, and begun anew.
                self._set_aside(folder, str(problem))
                with contextlib.suppress(sqlite3.Error, OSError):
                    return function(self._file(folder))
            raise StoreFailed(f"{folder / NAME}: {problem}") from problem
        except DataTooNew as problem:
            raise StoreFailed(str(problem)) from problem

    def _set_aside(self, folder: Path, problem: str) -> None:
        log.error("spam.damaged", file=str(folder / NAME), problem=problem)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                (folder / (NAME + suffix)).replace(folder / f"{NAME}.damaged{suffix}")

    def _file(self, folder: Path) -> LearnedFile:
        file = self._open.get(folder)
        if file is not None and not file.path.exists():  # the account was removed, and perhaps added again
            self.forget(folder)
            file = None
        if file is None:
            file = self._open[folder] = LearnedFile(folder / NAME)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(folder)
        return file

    def forget(self, folder: Path) -> None:
        """In the thread: close an account's file."""
        file = self._open.pop(folder, None)
        if file is not None:
            file.close()

    async def close(self) -> None:
        await self.hop(self._close)
        self._executor.shutdown()

    def _close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
