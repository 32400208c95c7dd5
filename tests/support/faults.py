"""Disks that stop or fail at a chosen step."""

import errno
import sqlite3

from mailstack.store.disk import Disk

STEPS = ("create", "write", "copy", "sync", "rename", "link", "unlink", "mkdir", "rmdir", "sync_folder", "commit")


class Stopped(BaseException):
    """The power went off."""


class StoppingDisk(Disk):
    """Lets `steps` calls through; from then on nothing is done any more."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.done: list[str] = []

    def _step(self, name: str) -> None:
        if self.left <= 0:
            raise Stopped
        self.left -= 1
        self.done.append(name)


class FailingDisk(Disk):
    """Raises an OSError for the named steps while `error` is set."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.steps = steps
        self.error: int | None = None

    def _step(self, name: str) -> None:
        if self.error is not None and name in self.steps:
            if name == "commit":
                raise sqlite3.OperationalError("database or disk is full" if self.error == errno.ENOSPC else "disk I/O error")
            raise OSError(self.error, "injected")


def _wrap(name: str) -> object:
    def method(self: StoppingDisk | FailingDisk, *arguments: object, **named: object) -> object:
        self._step(name)
        return getattr(Disk, name)(self, *arguments, **named)

    return method


for _name in STEPS:
    for _class in (StoppingDisk, FailingDisk):
        setattr(_class, _name, _wrap(_name))
