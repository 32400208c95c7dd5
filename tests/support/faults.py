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
    def method(self: "StoppingDisk | FailingDisk | FailingStepsDisk", *arguments: object, **named: object) -> object:
        self._step(name)
        return getattr(Disk, name)(self, *arguments, **named)

    return method


for _name in STEPS:
    for _class in (StoppingDisk, FailingDisk):
        setattr(_class, _name, _wrap(_name))


class FailingStepsDisk(Disk):
    """Fails at the n-th step from now on, once or until it is well again."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.error = 0
        self.lasting = False
        self.failed: str | None = None

    def fail(self, step: int, error: int, lasting: bool) -> None:
        self.left, self.error, self.lasting, self.failed = step, error, lasting, None

    def well(self) -> None:
        self.left = None

    def _step(self, name: str) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left >= 0 or (self.failed is not None and not self.lasting):
            return
        self.failed = self.failed or name
        if name == "commit":
            full = self.error in (errno.ENOSPC, errno.EDQUOT)
            raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
        raise OSError(self.error, "injected")


for _name in STEPS:
    setattr(FailingStepsDisk, _name, _wrap(_name))
