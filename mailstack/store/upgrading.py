"""An upgrade with a net: migrations run on a copy, which is looked at, and takes the place of the old database by one rename.

```
<data>/upgrade/from-0011-2026-11-26T033000Z/   the database as it was, for some weeks
<data>/upgrade/making/                         the copy on which the migrations run
<data>/upgrade/switch.json                     all is well, and what is to be renamed; a start that finds it does the rest
```
Until the copy was found well nothing of the old data is touched: what fails or is killed leaves it as it was, octet by octet,
and the old program can start. If that did start, and wrote, what was made is thrown away. Blocking code, under the data's lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from mailstack.log import get_logger
from mailstack.store.backup.copying import digest_of
from mailstack.store.backup.databases import check_database, copy_database, count_rows
from mailstack.store.backup.layout import name_of
from mailstack.store.database import NET, newest_revision
from mailstack.store.disk import Disk
from mailstack.store.errors import DataTooNew, StoreFailed, StoreProblem
from mailstack.store.migrating import Step, migrate, pending

SWITCH = "switch.json"
log = get_logger()


@dataclass(slots=True)
class Report:
    """What an upgrade did, or would do."""

    current: str | None
    newest: str
    steps: list[Step]
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)  # by table: before, and after
    kept: Path | None = None
    seconds: float = 0.0


class Upgrade:
    """finish(), then run() or rehearse(), of the database at `path` and what lies beside it."""

    def __init__(self, path: Path, migrations: Path, disk: Disk | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._migrations = migrations
        self._disk = disk or Disk()
        self._clock = clock
        self._folder = path.parent / NET
        self._making = self._folder / "making"

    def finish(self) -> None:
        """A switch that was cut short."""
        try:
            found = orjson.loads((self._folder / SWITCH).read_bytes())
            revision, digests = found["revision"], found["files"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as problem:
            raise StoreFailed(f"{self._folder / SWITCH} can't be read: {problem}") from problem
        waiting = [name for name in digests if (self._making / name).exists()]
        changed = any(digests[name] != _digest(self._path.parent / name) for name in waiting)
        if waiting and (changed or revision != newest_revision(self._migrations)):
            # The data was written to since, or this is the version before: then its data stays its own.
            log.warning("upgrade.given_up", revision=revision, changed=changed)
            waiting = []
        self._switch(waiting)

    def run(self, current: str | None) -> Report:
        """From a revision, None for a new database. Raises DataTooNew, StoreFailed; then all is as it was."""
        report = self._make(current)
        if current is None:
            self._put_into_place([self._path.name], report.newest)
            return report
        kept = report.kept = self._folder / f"from-{current}-{name_of(self._clock())}"
        names = self._names(report.steps)
        if kept.exists():
            shutil.rmtree(kept)
        self._disk.mkdir(kept)
        for name in names:
            copy_database(self._path.parent / name, kept / name)
        self._disk.sync_folder(kept)
        self._put_into_place(names, report.newest)
        log.info("upgraded", database=self._path.name, old=current, new=report.newest, kept=str(kept))
        return report

    def rehearse(self, current: str | None) -> Report:
        """The same on a copy, which is thrown away. Others may write meanwhile."""
        try:
            return self._make(current)
        finally:
            shutil.rmtree(self._making, ignore_errors=True)

    # On the copy ----------------------------------------------------------------------------------------------------

    def _names(self, steps: list[Step]) -> list[str]:
        """The files that change; the database is the last one."""
        beside = {name for step in steps for name in step.touches if (self._path.parent / name).exists()}
        return [*sorted(beside), self._path.name]

    def _make(self, current: str | None) -> Report:
        begun = time.monotonic()
        if current is None and self._path.exists() and any(count_rows(self._path).values()):
            raise StoreFailed(f"{self._path} is no database of mailstack")
        steps = pending(current, self._migrations, self._path)
        report = Report(current, steps[-1].revision if steps else current or "", steps)
        shutil.rmtree(self._making, ignore_errors=True)
        names = self._names(steps) if current is not None else []
        self._need_room(names)
        for folder in (self._folder, self._making):
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(folder)
        self._disk.sync_folder(self._folder.parent)
        copy = self._making / self._path.name
        before: dict[str, int] = {}
        at = "the copy"
        try:
            for name in names:
                copy_database(self._path.parent / name, self._making / name)
            if current is not None:
                check_database(copy)
                before = count_rows(copy)
            for step in steps:
                at = f"{step.revision} ({step.text})"
                self._migrate(copy, step.revision)
            at = "the look at the result"
            if current is not None:
                report.rows = self._look(copy, before, steps)
            copy.chmod(0o600)
        except DataTooNew:
            raise
        except Exception as problem:
            raise StoreFailed(self._what_to_do(current, report.newest, at, problem)) from problem
        report.seconds = time.monotonic() - begun
        return report

    def _need_room(self, names: list[str]) -> None:
        """For two copies, and what migrations add."""
        wanted = 3 * sum((self._path.parent / name).stat().st_size for name in names)
        status = os.statvfs(self._path.parent)
        free = status.f_bavail * status.f_frsize
        if free < wanted:
            raise StoreFailed(
                f"{self._path.parent}: the upgrade needs {wanted} octets of room, there are {free}; nothing was changed"
            )

    def _migrate(self, copy: Path, revision: str) -> None:
        engine = create_engine(f"sqlite:///{copy}")
        # As SQLite advises for changes of tables: they are looked at as a whole afterwards.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF"))
        try:
            with engine.begin() as connection:
                migrate(connection, self._migrations, revision)
        finally:
            engine.dispose()

    def _look(self, copy: Path, before: dict[str, int], steps: list[Step]) -> dict[str, tuple[int, int]]:
        """Whether this program can read it, and nothing got lost. Raises StoreFailed."""
        from mailstack.store.selftest import read_everything

        check_database(copy)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            wrong = connection.execute("PRAGMA foreign_key_check").fetchmany(3)
            if wrong:
                raise StoreFailed(f"rows without what they belong to: {wrong}")
        engine = create_engine(f"sqlite:///{copy}")
        try:
            with engine.connect() as reading:
                read_everything(reading)
        finally:
            engine.dispose()
        after = count_rows(copy)
        may_change = {"alembic_version", *(name for step in steps for name in step.changes)}
        for name, rows in before.items():
            if name not in may_change and after.get(name) != rows:
                raise StoreFailed(f"the table {name} had {rows} rows, and has {after.get(name, 'gone')}")
        return {name: (before.get(name, 0), rows) for name, rows in after.items() if name != "alembic_version"}

    def _what_to_do(self, current: str | None, newest: str, at: str, problem: Exception) -> str:
        found = problem.detail if isinstance(problem, StoreProblem) else str(getattr(problem, "orig", None) or problem)
        kind = "" if isinstance(problem, StoreProblem | SQLAlchemyError) else f"{type(problem).__name__}: "
        return (
            f"{self._path}: the upgrade from revision {current} to {newest} failed at {at}: {kind}{found}. "
            f"Nothing was changed: the version before starts as ever; what failed is in {self._making}"
        )

    # The switch -----------------------------------------------------------------------------------------------------

    def _put_into_place(self, names: list[str], revision: str) -> None:
        for name in names:
            descriptor = os.open(self._making / name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
        self._disk.sync_folder(self._making)
        for name in names:
            # What SQLite keeps beside the old database would be taken for the new one's.
            _close_wal(self._path.parent / name)
        digests = {name: _digest(self._path.parent / name) for name in names}
        self._disk.replace_file(self._folder / SWITCH, orjson.dumps({"revision": revision, "files": digests}))
        self._switch(names)

    def _switch(self, names: list[str]) -> None:
        """May be done again."""
        for name in names:
            self._disk.rename(self._making / name, self._path.parent / name)
        self._disk.sync_folder(self._path.parent)
        self._disk.unlink(self._folder / SWITCH)
        self._disk.sync_folder(self._folder)
        shutil.rmtree(self._making, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # unless something is kept there


def _digest(path: Path) -> str | None:
    """Of a database; None where there is none. What was committed beside it makes it another one."""
    beside = path.with_name(f"{path.name}-wal")
    if beside.exists() and beside.stat().st_size:
        return "more"
    if not path.exists():
        return None
    return digest_of(path)[0]


def _close_wal(path: Path) -> None:
    """All of it into the database itself; with the last connection its files beside go."""
    if path.exists() and path.stat().st_size:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    for end in ("-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
