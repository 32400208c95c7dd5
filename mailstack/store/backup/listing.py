"""Which files of the data folder belong into a backup. Blocking code.

Left out is what can be made anew (indexes), what belongs to a moment (locks, sockets, tmp/), and what SQLite keeps beside
a database.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

SQLITE = b"SQLite format 3\0"
_CACHES = ("index.sqlite3", "fulltext.sqlite3")
_ENDS = ("-wal", "-shm", "-journal", ".broken", ".damaged", ".new")
_TOP = frozenset(("lock", "control.sock", "spool", "mail", "queue", "upgrade", "backup.json"))


@dataclass(frozen=True, slots=True)
class Found:
    """Below the data folder; a folder's path ends with a slash."""

    path: str
    inode: int
    database: bool = False


def system(data: str) -> Iterator[Found]:
    """All but mail and queue."""
    with os.scandir(data) as entries:
        rows = sorted((entry.name, entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, inode, is_folder in rows:
        if name in _TOP or name.startswith((".", "replaced-")):
            continue
        if is_folder:
            yield from tree(data, name)
        elif not name.endswith(_ENDS):
            yield from _file(data, name, inode)


def account(data: str, folder: str) -> Iterator[Found]:
    """One account's folder, `mail/<domain>/<account>`."""
    yield Found(f"{folder}/", 0)
    with os.scandir(f"{data}/{folder}") as entries:
        rows = sorted((entry.name, entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, inode, is_folder in rows:
        path = f"{folder}/{name}"
        if is_folder:
            if not name.startswith(("new-", "deleted-")):
                yield from tree(data, path)
        elif name != "index-seal" and not name.startswith(_CACHES) and not name.endswith(_ENDS):
            yield from _file(data, path, inode)


def tree(data: str, folder: str) -> Iterator[Found]:
    """A folder and what is below it; of a tmp/ only the folder itself."""
    yield Found(f"{folder}/", 0)
    if folder.rpartition("/")[2] == "tmp":
        return
    try:
        with os.scandir(f"{data}/{folder}") as entries:
            rows = [(entry.name, entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    message = folder.endswith(("/cur", "/new"))
    for name, inode, is_folder in rows if message else sorted(rows):
        path = f"{folder}/{name}"
        if is_folder:
            yield from tree(data, path)
        elif message:
            yield Found(path, inode)
        elif not name.endswith(_ENDS):
            yield from _file(data, path, inode)


def _file(data: str, path: str, inode: int) -> Iterator[Found]:
    if path.endswith(".sqlite3"):
        with open(f"{data}/{path}", "rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                yield Found(path, inode, database=True)
                return
    if stat.S_ISREG(os.lstat(f"{data}/{path}").st_mode):
        yield Found(path, inode)


def is_message(path: str) -> bool:
    """Whether a file is mail in a mailbox."""
    return not path.endswith("/") and path.rpartition("/")[0].endswith(("/cur", "/new"))


def by_inode(data: str, folder: str) -> dict[int, str]:
    """Where the messages of an account are now, wherever they were moved to."""
    return {found.inode: found.path for found in tree(data, folder) if found.inode}
