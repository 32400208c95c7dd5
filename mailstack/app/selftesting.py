"""The self-test by the clock: the same program as `mailstack selftest`, in a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

from mailstack.log import get_logger
from mailstack.store.tasks import ended

log = get_logger()
FIRST_SECONDS = 20.0  # after the start: whatever begins with it has begun
LONGEST_SECONDS = 300.0
NICENESS = 10


class Selftesting:
    """start(), then stop(). `seconds`: between two runs; None: none by the clock. `path`: of the configuration."""

    def __init__(self, path: str | None, seconds: float | None, failed: Callable[[str], None]) -> None:
        """`failed` is told when a run could not even report."""
        self._path = path
        self.seconds = seconds
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        waited, wait = 0.0, FIRST_SECONDS
        while True:
            # In small steps: the setting may change meanwhile.
            await asyncio.sleep(min(wait, 30.0))
            waited += min(wait, 30.0)
            if self.seconds is None or waited < wait:
                continue
            await self._once()
            waited, wait = 0.0, self.seconds

    async def _once(self) -> None:
        command = [sys.executable, "-m", "mailstack", *(("-c", self._path) if self._path else ()), "selftest"]
        try:
            # Not by uvloop: that copies all page tables first, and the loop waits until the copy has run.
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - this program itself
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as problem:
            self._failed(f"start: {problem}")
            return
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            _, said = await asyncio.to_thread(process.communicate, timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            self._failed(f"no end within {LONGEST_SECONDS:.0f} s")
            return
        finally:
            process.kill()  # where it has not ended: the server stops
            await asyncio.to_thread(process.wait)
        if process.returncode not in (0, 1):
            self._failed(said.decode(errors="replace").strip()[-300:] or f"exit {process.returncode}")
