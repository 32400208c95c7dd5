"""Every call that changes the disk, one method each, so that a test can put a fault behind any single step.

Rule: nothing in store/ or the queue changes a file but through a Disk.
"""

import contextlib
import errno
import os
import sqlite3
from pathlib import Path

PathName = Path | str | bytes


class Disk:
    """The real disk. All methods block: call them from a thread. They raise OSError as the system gives it."""

    def create(self, path: PathName, mode: int = 0o600) -> int:
        """Make a new file that must not exist; return its descriptor, open for writing."""
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)

    def write(self, descriptor: int, data: bytes | memoryview) -> None:
        """Write all of `data` at the file's position."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def copy(self, source: int, descriptor: int, size: int) -> None:
        """Append the first `size` octets of the open file `source`, inside the kernel where it can."""
        offset = 0
        while offset < size:
            try:
                done = os.copy_file_range(source, descriptor, size - offset, offset)
            except OSError as problem:
                if problem.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                block = os.pread(source, min(262144, size - offset), offset)
                self.write(descriptor, block)
                done = len(block)
            if done == 0:
                raise OSError(errno.EIO, "file is shorter than expected")
            offset += done

    def start_sync(self, descriptor: int) -> None:
        """Begin to write a file's content, so that the flushes of several files wait for the device together."""
        # Linux begins to write back what this advice lets go of; pages that are under way stay.
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, descriptor: int) -> None:
        """Flush a file's content and size to the device."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: PathName, target: PathName) -> None:
        os.rename(source, target)

    def link(self, source: PathName, target: PathName) -> None:
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: PathName) -> None:
        os.unlink(path)

    def mkdir(self, path: PathName, mode: int = 0o700) -> None:
        os.mkdir(path, mode)

    def rmdir(self, path: PathName) -> None:
        os.rmdir(path)

    def sync_folder(self, path: PathName) -> None:
        """Flush a folder's entries: what was renamed or linked into it is there after a power cut."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit a database transaction."""
        connection.commit()

    def replace_file(self, path: Path, data: bytes) -> None:
        """Write a small file whole: beside, flush, rename over, flush the folder."""
        beside = path.with_name(f"{path.name}.new")
        beside.unlink(missing_ok=True)
        descriptor = self.create(beside)
        try:
            self.write(descriptor, data)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(beside, path)
        self.sync_folder(path.parent)
