"""Blocking work on an account's Maildir: writing, renaming; reading is in files.py. Paths are bytes below the Maildir."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.disk import Disk
from mailstack.store.drafts import Draft, write_drafts
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox import keywords, marks
from mailstack.store.mailbox.facts import Link, Operation, Rename, Unlink
from mailstack.store.mailbox.filename import split
from mailstack.store.mailbox.files import MailFiles
from mailstack.store.mailbox.graves import Graves
from mailstack.store.mailbox.marks import Marks

log = get_logger()
FOLDERS = (b"tmp", b"new", b"cur")
TOGETHER = 256  # operations after which others get their turn at the folder
NEVER = frozenset(
    (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EPERM)
)


@dataclass(slots=True)
class Naming:
    """What gives messages their names, in this order: drafts that are not written yet, marks, keywords, renames.

    All of it is durable before anything is answered.
    """

    maildir: Maildir
    drafts: list[Draft] = field(default_factory=list)
    marks: list[tuple[Path, Marks]] = field(default_factory=list)
    keywords: list[tuple[Path, list[str | None]]] = field(default_factory=list)
    renames: list[tuple[bytes, bytes]] = field(default_factory=list)


class Maildir(MailFiles):
    """One account's tree. A mailbox is a folder name in bytes: b"" for INBOX, b".Sent" for Sent."""

    def __init__(self, root: Path, disk: Disk) -> None:
        super().__init__(root)
        self.disk = disk
        self._seen: dict[str, tuple[int, int]] = {}
        self._renaming = threading.Lock()
        self.graves: Graves | None = None

    def skipped(self, path: bytes, problem: OSError) -> None:
        log.warning("store.file_skipped", file=os.fsdecode(path), problem=problem.strerror)

    def folder_path(self, folder: str) -> Path:
        return self.root / folder if folder else self.root

    # What other programs do shows in the times of cur/ and new/. Our own work changes them too: it is taken over as seen,
    # unless another's change came before it. One that comes within the same few milliseconds is found by a later scan.

    def times(self, folder: str) -> tuple[int, int]:
        """mtime of cur and new in nanoseconds."""
        path = self.folder_path(folder)
        return (os.stat(path / "cur").st_mtime_ns, os.stat(path / "new").st_mtime_ns)

    def seen(self, folder: str) -> tuple[int, int] | None:
        """The times up to which all is known."""
        return self._seen.get(folder)

    def saw(self, folder: str, times: tuple[int, int]) -> None:
        """Whatever was done to a folder up to then is known."""
        with self._renaming:
            self._seen[folder] = times

    def changed(self, folder: str) -> bool:
        """Whether others changed a folder since it was seen. Raises FileNotFoundError."""
        with self._renaming:
            return self.times(folder) != self._seen.get(folder)

    @contextlib.contextmanager
    def ours(self, paths: Iterable[bytes]) -> Iterator[None]:
        """Around renames of our own."""
        parents = {path.rpartition(b"/")[0] for path in paths}
        folders = {os.fsdecode(parent.rpartition(b"/")[0]) for parent in parents if parent}
        with self._renaming:
            known = []
            for folder in folders:
                with contextlib.suppress(OSError):
                    if folder in self._seen and self._seen[folder] == self.times(folder):
                        known.append(folder)
            try:
                yield
            finally:
                for folder in known:
                    with contextlib.suppress(OSError):
                        self._seen[folder] = self.times(folder)

    def make_folder(self, path: Path) -> None:
        """A mailbox's folder with tmp, new and cur; durable."""
        for part in (path, *(path / os.fsdecode(name) for name in FOLDERS)):
            with contextlib.suppress(FileExistsError):
                self.disk.mkdir(part)
        if path != self.root:
            marker = path / "maildirfolder"
            if not marker.exists():
                os.close(os.open(marker, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self.disk.sync_folder(path)
        self.disk.sync_folder(path.parent)

    def discard(self, names: Iterable[bytes]) -> None:
        for name in names:
            with contextlib.suppress(OSError):
                self.disk.unlink(self.path(name))

    def rename_all(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Rename; on failure what was renamed goes back. The folders are not flushed yet."""
        with self.ours(target for _, target in pairs):
            for number, (source, target) in enumerate(pairs):
                try:
                    self.disk.rename(self.path(source), self.path(target))
                except OSError:
                    self.take_back(pairs[:number])
                    raise

    def take_back(self, pairs: list[tuple[bytes, bytes]]) -> None:
        for source, target in reversed(pairs):
            with contextlib.suppress(OSError):
                os.rename(self.path(target), self.path(source))

    def sync_parents(self, paths: Iterable[bytes]) -> None:
        for parent in dict.fromkeys(path.rpartition(b"/")[0] for path in paths):
            self.disk.sync_folder(self.path(parent))

    # Operations that a commit promised ------------------------------------------------------------------------------

    def carry_out(self, operations: list[Operation], *, again: bool = False) -> None:
        """Do what was promised, in order, and flush the folders. `again`: after a crash, when some may be done already."""
        touched: list[bytes] = []
        if self.graves is not None:
            self.graves.begin()
        for first in range(0, len(operations), TOGETHER):
            some = operations[first : first + TOGETHER]
            paths = [path for operation in some for path in _touched(operation)]
            with self.ours(paths):
                for operation in some:
                    try:
                        self._carry_out_one(operation, again)
                    except OSError as problem:
                        if problem.errno not in NEVER:
                            raise
                        # Another program put something in the way: waiting would help nobody.
                        log.error("store.promise_impossible", operation=str(operation), problem=str(problem))
            touched += paths
        if self.graves is not None:
            self.graves.flush()
        for parent in dict.fromkeys(path.rpartition(b"/")[0] for path in touched):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.disk.sync_folder(self.path(parent))

    def _carry_out_one(self, operation: Operation, again: bool) -> None:
        match operation:
            case Rename(source, target):
                self._rename(source, target)
            case Link(source, target):
                if not again or self.look_up(target) is None:
                    self._link(source, target)
            case Unlink(path, keep):
                if not keep or not self._put_away(path):
                    self._unlink(path)

    def _put_away(self, path: bytes) -> bool:
        """Whether a deleted message is kept out of sight; or it is not there any more."""
        if self.graves is None or not self.graves.on:
            return False
        if self.graves.bury(self.path(path), path):
            return True
        other = self.look_up(path)
        return other is not None and self.graves.bury(self.path(other), other)

    def _rename(self, source: bytes, target: bytes) -> None:
        try:
            self.disk.rename(self.path(source), self.path(target))
        except FileNotFoundError:
            # Another program may have changed the flags meanwhile; if the base is nowhere, this was done before.
            other = self.look_up(source)
            if other is not None and other != target:
                with contextlib.suppress(FileNotFoundError):
                    self.disk.rename(self.path(other), self.path(_with_both(source, other, target)))

    def _link(self, source: bytes, target: bytes) -> None:
        try:
            self.disk.link(self.path(source), self.path(target))
        except FileExistsError:
            return
        except FileNotFoundError:
            other = self.look_up(source)
            if other is not None:
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    self.disk.link(self.path(other), self.path(target))
        except OSError as problem:
            if problem.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM):
                raise
            self._copy(source, target)

    def _copy(self, source: bytes, target: bytes) -> None:
        """Where a hard link can't be: too many of them, or another file system."""
        try:
            reader = self.open(source)
        except MessageGone:
            return
        parent, _, name = target.rpartition(b"/")
        temporary = parent.rpartition(b"/")[0] + (b"/tmp/" if b"/" in parent else b"tmp/") + name.partition(b":")[0]
        try:
            writer = self.disk.create(self.path(temporary))
            try:
                self.disk.copy(reader, writer, os.fstat(reader).st_size)
                self.disk.sync(writer)
            finally:
                self.disk.close(writer)
        finally:
            os.close(reader)
        self.disk.rename(self.path(temporary), self.path(target))

    def _unlink(self, path: bytes) -> None:
        try:
            self.disk.unlink(self.path(path))
        except FileNotFoundError:
            other = self.look_up(path)
            if other is not None:
                with contextlib.suppress(FileNotFoundError):
                    self.disk.unlink(self.path(other))


def _with_both(source: bytes, other: bytes, target: bytes) -> bytes:
    """The target of a change of flags, with what another program changed in the same file meanwhile."""
    was, first = split(source.rpartition(b"/")[2])
    base, last = split(other.rpartition(b"/")[2])
    name, wanted = split(target.rpartition(b"/")[2])
    if name != was:
        return target  # another mailbox, where letters may mean other keywords
    had, has = set(first), set(last)
    letters = (has | (set(wanted) - had)) - (had - set(wanted))
    return target.rpartition(b"/")[0] + b"/" + base + b":2," + "".join(sorted(letters)).encode()


def _touched(operation: Operation) -> tuple[bytes, ...]:
    """Paths whose folders an operation changes: first the one that receives something."""
    match operation:
        case Rename(source, target):
            return (target, source)
        case Link(_, target):
            return (target,)
        case Unlink(path):
            return (path,)


def give_names(disk: Disk, namings: list[Naming]) -> list[OSError | None]:
    """Drafts written, all renamed, then each folder flushed once. A failed one has its messages back in tmp/."""
    results: list[OSError | None] = [None] * len(namings)
    owners = [number for number, naming in enumerate(namings) for _ in naming.drafts]
    drafts = [draft for naming in namings for draft in naming.drafts]
    for number, problem in zip(owners, write_drafts(disk, drafts), strict=True):
        results[number] = results[number] or problem
    folders: dict[bytes, list[int]] = {}
    for number, naming in enumerate(namings):
        if results[number] is not None:
            continue
        maildir = naming.maildir
        try:
            for path, new_marks in naming.marks:
                marks.write(disk, path, new_marks)
            for path, names in naming.keywords:
                keywords.write(disk, path, names)
            maildir.rename_all(naming.renames)
        except OSError as problem:
            results[number] = problem
            continue
        for parent in dict.fromkeys(target.rpartition(b"/")[0] for _, target in naming.renames):
            folders.setdefault(maildir.path(parent), []).append(number)
    for folder, numbers in folders.items():
        try:
            disk.sync_folder(folder)
        except OSError as problem:
            for number in numbers:
                if results[number] is None:
                    results[number] = problem
                    namings[number].maildir.take_back(namings[number].renames)
    return results
