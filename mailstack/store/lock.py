"""One writer: the data folder's lock."""

import fcntl
import os
import pwd
from pathlib import Path

from mailstack.store.errors import DataLocked


def become_owner(data: Path) -> None:
    """Started as root, become who owns the data, so that no file of it ends up root's."""
    if os.geteuid() != 0 or not data.exists():
        return
    status = data.stat()
    if status.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(status.st_uid).pw_name, status.st_gid)
    except KeyError:
        os.setgroups([])
    os.setgid(status.st_gid)
    os.setuid(status.st_uid)


class DataLock:
    """An flock on `<data>/lock`, held until `release` or the end of the process, however that comes."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raise DataLocked if another process holds it."""
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(descriptor)
            raise DataLocked(f"another server runs on {self._path.parent}") from problem
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
