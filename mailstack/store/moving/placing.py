"""Messages' files from here to there: hard links, or copies that have their names only when they are whole and flushed."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from mailstack.store.disk import Disk
from mailstack.store.moving.errors import MoveProblem

BLOCK = 1 << 18
TOGETHER = 64  # copies that share the wait for the device
OPENERS: dict[str, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP)


def linked(disk: Disk, origin: bytes, target: bytes) -> bool:
    """False where there can be no link: another file system, another owner. Raises OSError."""
    try:
        disk.link(origin, target)
    except OSError as problem:
        if problem.errno not in NO_LINK:
            raise
        return False
    return True


class Copier:
    """Copies that wait for the device together. Raises MoveProblem, OSError; then close() leaves nothing half done open."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._waiting: list[tuple[int, bytes, bytes, int]] = []

    def add(self, origin: bytes, target: bytes, beside: Path, packed: str | None, date: int) -> None:
        """By a name in the folder `beside`. `packed`: how the origin is packed (survey.sniff())."""
        temporary = os.fsencode(beside) + b"/" + hashlib.blake2b(target, digest_size=12).hexdigest().encode()
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(temporary)
        with opened(origin, packed) as file:
            descriptor = self._disk.create(temporary)
            self._waiting.append((descriptor, temporary, target, date))
            if packed is None:
                self._disk.copy(file.fileno(), descriptor, os.fstat(file.fileno()).st_size)
            else:
                while block := file.read(BLOCK):
                    self._disk.write(descriptor, block)
        self._disk.start_sync(descriptor)
        if len(self._waiting) >= TOGETHER:
            self.finish()

    def finish(self) -> None:
        """All that wait are whole and flushed; then they have their names."""
        for descriptor, _, _, date in self._waiting:
            self._disk.sync(descriptor)
            os.utime(descriptor, (date, date))
        for _, temporary, target, _ in self._waiting:
            self._disk.rename(temporary, target)
        self.close()

    def close(self) -> None:
        """Let go of what waits."""
        waiting, self._waiting = self._waiting, []
        for descriptor, _, _, _ in waiting:
            os.close(descriptor)


@contextlib.contextmanager
def opened(path: bytes, packed: str | None) -> Iterator[io.BufferedIOBase | io.RawIOBase]:
    """A message's octets. Raises MoveProblem when they are packed in a way that can't be read here."""
    if packed is not None and packed not in OPENERS:
        raise MoveProblem(
            f"{os.fsdecode(path)}: {packed}: let Dovecot write plain files first, with the UIDs kept:"
            " doveadm -o plugin/mail_crypt_save_version=0 -o plugin/zlib_save= backup -u USER maildir:/some/where"
        )
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MoveProblem(f"{os.fsdecode(path)}: no regular file any more")
    with io.FileIO(descriptor) as file:
        yield file if packed is None else OPENERS[packed](file)
