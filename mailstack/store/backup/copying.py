"""Files into a backup and out of it. Blocking code; it runs in the helper process, and in commands."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from mailstack.store.backup.manifest import File
from mailstack.store.disk import Disk

BLOCK = 1 << 20
TOGETHER = 256  # files that are flushed together
_FICLONE = 0x40049409  # linux/fs.h: the same blocks on the device, until one of the two is written to
_NO_LINKS = frozenset((errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOENT))
Key = tuple[int, int, int]  # inode, size and mtime of a live file


class Changed(OSError):
    """A file became another while it was copied."""


@dataclass(frozen=True, slots=True)
class Known:
    """A file of an earlier backup."""

    path: str
    sha256: str
    sure: bool = True  # it was flushed: else it is looked at before it counts


class Copier:
    """copy() and link(), then flush(): what was written is durable when that returns."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._unflushed: list[int] = []
        self._folders: set[str] = set()
        self.octets = 0  # what was copied

    def link(self, source: str, target: str, size: int) -> bool:
        """The same file once more, in another backup; False where that can't be."""
        try:
            if os.lstat(source).st_size != size:
                return False
            try:
                self._disk.link(source, target)
            except FileExistsError:
                self._disk.unlink(target)
                self._disk.link(source, target)
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            return False
        self._folders.add(os.path.dirname(target))
        return True

    def copy(self, source: int, target: str) -> tuple[str, int]:
        """An open file into a new one; its SHA-256 as it is written there, and its size."""
        status = os.fstat(source)
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(target)
        descriptor = self._disk.create(target)
        try:
            try:
                fcntl.ioctl(descriptor, _FICLONE, source)
            except OSError:
                self._disk.copy(source, descriptor, status.st_size)
            os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
            digest, size = digest_of(target)
            if os.fstat(source).st_size != size:
                raise Changed(errno.EBUSY, "it changed while it was copied", target)
        except BaseException:
            self._disk.close(descriptor)
            raise
        self.octets += size
        self._flush_later(descriptor, target)
        return digest, size

    def write(self, data: bytes, target: str) -> None:
        descriptor = self._disk.create(target)
        self._disk.write(descriptor, data)
        self._flush_later(descriptor, target)

    def folder(self, path: str) -> None:
        """With those above it."""
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for one in reversed(missing):
            self._disk.mkdir(one)
            self._folders.update((one, os.path.dirname(one)))

    def _flush_later(self, descriptor: int, target: str) -> None:
        self._folders.add(os.path.dirname(target))
        self._disk.start_sync(descriptor)
        self._unflushed.append(descriptor)
        if len(self._unflushed) >= TOGETHER:
            self._flush_files()

    def _flush_files(self) -> None:
        waiting, self._unflushed = self._unflushed, []
        for descriptor in waiting:
            try:
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)

    def flush(self) -> None:
        self._flush_files()
        for folder in sorted(self._folders):
            self._disk.sync_folder(folder)
        self._folders.clear()


def open_regular(path: str | bytes) -> int | None:
    """For reading; None for what is no regular file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def digest_of(path: str | Path) -> tuple[str, int]:
    """SHA-256 and size of a file. Raises OSError."""
    found, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            found.update(block)
            size += len(block)
    return found.hexdigest(), size


def is_whole(path: str | Path, sha256: str) -> bool:
    try:
        return digest_of(path)[0] == sha256
    except OSError:
        return False


def key_of(file: File) -> Key:
    return file.inode, file.size, file.mtime
