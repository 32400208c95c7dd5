"""A whole backup into a data folder that no server uses. Blocking code, in the command's process.

Rule: what is there is never overwritten. It goes aside, whole, before the restored data takes its name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mailstack.store.backup import layout, manifest
from mailstack.store.backup.copying import Copier, open_regular
from mailstack.store.backup.manifest import Manifest
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed
from mailstack.store.lock import DataLock
from mailstack.store.mailbox import marks
from mailstack.store.queue.keeping_back import keep_back

BEYOND = 1_000_000  # UIDs that may have been given since the backup; none of them is given to another message
BEYOND_MODSEQ = 1_000_000_000
LAST = "mailstack.sqlite3"  # with it, the data is whole


def choose(folder: Path, name: str | None) -> Path:
    """A backup by its name, or the newest in a folder of backups, or the folder itself. Raises StoreFailed."""
    if (folder / layout.MANIFEST).is_file() and name is None:
        return folder
    names = layout.backups(folder)
    if not names or (name is not None and name not in names):
        there = f"; there are {', '.join(names)}" if names else ""
        raise StoreFailed(f"{folder} holds no backup{f' {name}' if name else ''}{there}")
    return folder / (name or names[-1])


class Restoring:
    """run() once. `told` hears of files done, and how many there are."""

    def __init__(
        self,
        backup: Path,
        data: Path,
        disk: Disk,
        told: Callable[[int, int], None] = lambda done, of: None,
        indexes: Path | None = None,
    ) -> None:
        """`indexes`: where those of accounts are, if they are not beside the mail."""
        self._indexes = indexes
        self._backup = backup
        self._data = data
        self._disk = disk
        self._told = told
        self._inside = data / ".restoring"
        self.held = 0  # messages of the queue that are kept back

    def run(self, *, force: bool, hold: bool = True) -> tuple[Manifest, Path | None]:
        """Raises StoreFailed; then what was there is there still. With `force` it goes aside: where to is told.

        `hold` keeps the queue back: what waited in it then may have left since.
        """
        made = manifest.read(self._backup)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DataLock(self._data)
        lock.acquire()
        try:
            there = [one for one in self._data.iterdir() if one.name not in ("lock", self._inside.name)]
            if there and not force:
                raise StoreFailed(f"{self._data} holds data; with --force that goes aside, whole, and nothing of it is lost")
            shutil.rmtree(self._inside, ignore_errors=True)
            self._copy(made)
            self._raise_marks()
            if hold:
                self._keep_back()
            return made, self._switch(there)
        finally:
            lock.release()

    def _copy(self, made: Manifest) -> None:
        copier = Copier(self._disk)
        copier.folder(str(self._inside))
        total, done = sum(unit.files for unit in made.units), 0
        for unit in made.units:
            for file in manifest.read_unit(self._backup, unit.name, unit.sha256)[1]:
                if file.path.startswith("../"):
                    continue
                target = f"{self._inside}/{file.path}"
                if file.path.endswith("/"):
                    copier.folder(target.rstrip("/"))
                    continue
                copier.folder(os.path.dirname(target))
                self._copy_one(copier, file, target)
                done += 1
                if done % 64 == 0:
                    self._told(done, total)
        copier.flush()
        self._told(total, total)

    def _copy_one(self, copier: Copier, file: manifest.File, target: str) -> None:
        source = open_regular(f"{self._backup}/{layout.DATA}/{file.path}")
        if source is None:
            raise StoreFailed(f"{self._backup}: {file.path} is no file")
        try:
            digest, size = copier.copy(source, target)
        finally:
            os.close(source)
        if digest != file.sha256 or size != file.size:
            raise StoreFailed(f"{self._backup}: {file.path} is damaged; nothing was restored. Take another one: --backup NAME")

    def _raise_marks(self) -> None:
        """Mail may have come since the backup, and clients saw it: its UIDs are not given again (RFC 9051 2.3.1.1)."""
        for path in self._inside.glob(f"mail/*/*/Maildir/**/{marks.FILE}"):
            found = marks.read(path.parent)
            if found is None:
                continue
            now = marks.read(self._data / path.parent.relative_to(self._inside))
            uid, modseq = found.uid_mark + BEYOND, found.modseq_mark + BEYOND_MODSEQ
            if now is not None and now.uid_validity == found.uid_validity:
                # Nothing has to be guessed.
                uid, modseq = max(found.uid_mark, now.uid_mark), max(found.modseq_mark, now.modseq_mark)
            marks.write(self._disk, path.parent, replace(found, uid_mark=uid, modseq_mark=modseq))
        for path in self._inside.glob("mail/*/*/uidvalidity"):
            with contextlib.suppress(ValueError):
                self._disk.replace_file(path, f"{int(path.read_text()) + BEYOND}\n".encode())

    def _keep_back(self) -> None:
        try:
            self.held = keep_back(self._inside / "queue", self._inside / LAST)
        except sqlite3.Error as problem:
            raise StoreFailed(f"{self._backup}: {LAST}: {problem}") from problem

    def _switch(self, there: list[Path]) -> Path | None:
        """By renames below one folder, which may be a mount; the users' database comes last."""
        aside = None
        if there:
            aside = self._data / f"replaced-{layout.name_of(time.time())}"
            self._disk.mkdir(aside)
            for one in sorted(there, key=lambda one: one.name != LAST):
                if not one.name.startswith("replaced-"):
                    self._disk.rename(one, aside / one.name)
            self._disk.sync_folder(aside)
        self._forget_indexes()
        for one in sorted(self._inside.iterdir(), key=lambda one: one.name == LAST):
            self._disk.rename(one, self._data / one.name)
        self._disk.sync_folder(self._data)
        self._disk.rmdir(self._inside)
        return aside

    def _forget_indexes(self) -> None:
        """They speak of other files: what they still promised must not be done to these."""
        if self._indexes is not None:
            for path in [*self._indexes.glob("*/*/index.sqlite3*"), *self._indexes.glob("*/*/fulltext.sqlite3*")]:
                self._disk.unlink(path)
