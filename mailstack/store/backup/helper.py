"""The process that backs up and proves: `python -m mailstack.store.backup.helper NICENESS`. It answers lines of JSON.

The server keeps each account still while it is listed here; all else is read and written beside the server, at low priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from mailstack.log import configure
from mailstack.store.backup import layout
from mailstack.store.backup.proving import Prover
from mailstack.store.backup.taking import Taking, prune
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.freezing import Frozen


class Work:
    """One method for each question."""

    def __init__(self) -> None:
        self._progress = Progress(Path())
        self._taking: Taking | None = None

    def begin(self, folder: str, data: str, now: float) -> None:
        self._progress = Progress(Path(folder))
        taking = self._taking = Taking(Path(folder), Path(data), Disk(), self._progress.within)
        taking.begin(now)
        taking.users()
        taking.queue()

    @property
    def _begun(self) -> Taking:
        assert self._taking is not None
        return self._taking

    def list_account(self, folder: str, address: str, mailboxes: Any, number: int, of: int) -> int:
        self._progress.step("copy", address or folder, number, of)
        return self._begun.list_account(folder, address, msgspec.convert(mailboxes, list[Frozen]))

    def copy_account(self) -> int:
        return self._begun.copy_account()

    def finish(self, hostname: str, config: str) -> dict[str, Any]:
        self._begun.rest(config)
        made = self._begun.finish(hostname)
        counts = {"name": made.name, "accounts": sum(bool(unit.address) for unit in made.units), "messages": made.messages}
        return {**counts, "octets": made.octets, "new_octets": made.new_octets}

    def close(self) -> None:
        if self._taking is not None:
            self._taking.close()

    def prune(self, folder: str, keep: int, proven: str | None) -> list[str]:
        (Path(folder) / layout.PROGRESS).unlink(missing_ok=True)
        return prune(Path(folder), keep, Disk(), proven)

    def prove(self, folder: str, name: str, sample: int) -> dict[str, Any]:
        self._progress = Progress(Path(folder))
        told = lambda done, of: self._progress.step("prove", name, done, of)  # noqa: E731
        prover = Prover(Path(folder) / name, Path(folder) / layout.SCRATCH, sample, random.SystemRandom(), told)
        return msgspec.to_builtins(asyncio.run(prover.prove()))  # type: ignore[no-any-return]


class Progress:
    """A small file by which a command shows how far it is; nobody relies on it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / layout.PROGRESS
        self._step, self._what, self._number, self._of = "", "", 0, 1

    def step(self, step: str, what: str, number: int, of: int) -> None:
        self._step, self._what, self._number, self._of = step, what, number, max(1, of)
        self.within(0, 1)

    def within(self, done: int, of: int) -> None:
        share = (self._number + done / max(1, of)) / self._of
        beside = self._path.with_name(f"{self._path.name}.new")
        with contextlib.suppress(OSError):
            beside.write_bytes(msgspec.json.encode({"step": self._step, "what": self._what, "share": share}))
            beside.replace(self._path)


def answer(work: Work, line: bytes) -> bytes:
    try:
        question = msgspec.json.decode(line)
        found = {"ok": getattr(work, question.pop("do"))(**question)}
    except StoreProblem as problem:
        found = {"error": problem.detail or type(problem).__name__}
    except OSError as problem:
        found = {"error": f"{problem.filename or ''}: {problem.strerror or problem}".removeprefix(": ")}
    except Exception as problem:  # noqa: BLE001 - whatever it is, the one who asked is to know
        found = {"error": f"{type(problem).__name__}: {problem}"}
    return msgspec.json.encode(found) + b"\n"


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _be_modest(niceness: int) -> None:
    """Others come first; where memory runs out it is this process that ends; and it ends with the one that began it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def main() -> None:
    _be_modest(int(sys.argv[1]))
    configure("auto", "error")  # what the scratch place is told of is no news
    os.umask(0o077)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what anything else writes is no answer
    work = Work()
    for line in sys.stdin.buffer:
        answers.write(answer(work, line))


if __name__ == "__main__":
    main()
