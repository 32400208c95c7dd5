"""One writer: the data folder's lock."""

import fcntl
import os
from pathlib import Path

from mailstack.store.errors import DataLocked


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
            raise DataLocked(str(self._path)) from problem
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
