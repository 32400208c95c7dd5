"""Work that takes longer than a question may: it is begun by an operation, and `job.status` tells how far it is.

Rule: a job goes on when nobody asks any more, and ends with the server; what it does can be done again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.operations import Operation, answer
from mailstack.log import get_logger

log = get_logger()
KEPT = 50  # jobs that ended, whose answers may still be asked for
LONGEST_WAIT = 5.0  # seconds that job.status waits for news


class JobStopped(Exception):
    """Nobody wants it any more."""


@dataclass(slots=True)
class Progress:
    """How far it is: `done` of `total`, in what `text` says. step() may be called from a thread."""

    text: str = ""
    done: int = 0
    total: int | None = None
    stopped: bool = False

    def begin(self, text: str, total: int | None = None) -> None:
        """The next part of the work."""
        self.text, self.done, self.total = text, 0, total

    def step(self, count: int = 1) -> None:
        """Raises JobStopped."""
        if self.stopped:
            raise JobStopped
        self.done += count


Work = Callable[[Progress], Awaitable[Any]]


@dataclass(slots=True)
class _Job:
    progress: Progress
    task: "asyncio.Task[dict[str, Any]]"
    name: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Jobs:
    """One for the server."""

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}
        self._last = 0

    def table(self) -> dict[str, Operation]:
        return {"job.status": self.status, "job.stop": self.stop, "job.list": self.listing}

    def begin(self, name: str, work: Work) -> dict[str, Any]:
        """Start it; what the operation that asked for it answers."""
        self._last += 1
        progress = Progress()
        task = asyncio.create_task(self._run(name, work, progress))
        job = self._jobs[self._last] = _Job(progress, task, name)
        task.add_done_callback(lambda _: job.ended.set())
        for number in [number for number, one in self._jobs.items() if one.task.done()][:-KEPT]:
            del self._jobs[number]
        return {"job": self._last}

    async def _run(self, name: str, work: Work, progress: Progress) -> dict[str, Any]:
        try:
            return await answer(name, work(progress))
        except (JobStopped, asyncio.CancelledError):
            return {"error": "stopped; the same command goes on from here", "code": 1}
        except Exception:
            log.exception("control.failed", do=name)
            return {"error": "something went wrong; the log says what", "code": 1}

    def _find(self, arguments: Arguments) -> _Job:
        job = self._jobs.get(int(arguments["job"]))
        if job is None:
            raise OperationProblem(f"there is no job {arguments['job']}")
        return job

    async def status(self, arguments: Arguments) -> Any:
        """How far a job is; with `wait` seconds it is waited for its end so long. An ended one has its `answer`."""
        job = self._find(arguments)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(float(arguments.get("wait") or 0), LONGEST_WAIT)):
                await job.ended.wait()
        return self._told(job)

    def _told(self, job: _Job) -> dict[str, Any]:
        progress = job.progress
        told = {"name": job.name, "text": progress.text, "done": progress.done, "total": progress.total, "ended": False}
        if job.task.done():
            told |= {"ended": True, "answer": job.task.result()}
        return told

    async def listing(self, _: Arguments) -> Any:
        return [{"job": number, **self._told(job)} for number, job in self._jobs.items()]

    async def stop(self, arguments: Arguments) -> Any:
        """Stop it as soon as it can be. What it did stays."""
        job = self._find(arguments)
        job.progress.stopped = True
        await asyncio.sleep(0)
        return None

    async def close(self) -> None:
        """Stop all of them, and wait."""
        for job in self._jobs.values():
            job.progress.stopped = True
            job.task.cancel()
        tasks = [job.task for job in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks)
