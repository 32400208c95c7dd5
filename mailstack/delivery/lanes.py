"""Lanes, one a destination: jobs wait in them for a worker with a connection; a slow lane never stops another."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mailstack.delivery.client import ClientProblem, SmtpClient
from mailstack.delivery.outcome import Failed, Outcome, later
from mailstack.delivery.remote import REUSE, RemoteDelivery
from mailstack.log import get_logger
from mailstack.store.queue.queue import Queued

log = get_logger()
WORKERS_A_LANE = 10
WORKERS = 200
CROWDED = 100  # with this many at work, a lane that has a worker gets no other
LANES = 1000  # more are looked through for those that nobody needs
IDLE_CONNECTION = 2.0


@dataclass(slots=True)
class Job:
    """Recipients of one message that go one way together."""

    queued: Queued
    numbers: list[int]
    domain: str
    done: asyncio.Future[dict[int, Outcome]]


@dataclass(slots=True)
class Lane:
    jobs: deque[Job] = field(default_factory=deque)
    workers: int = 0
    down_until: float = 0.0
    down: Outcome | None = None
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)


class Lanes:
    """A destination that can't be reached is left alone for `down_seconds`: until then its jobs fail at once."""

    def __init__(self, remote: RemoteDelivery, down_seconds: Callable[[], float]) -> None:
        self._remote = remote
        self._down_seconds = down_seconds
        self._lanes: dict[str, Lane] = {}
        self._workers = asyncio.Semaphore(WORKERS)
        self._working = 0
        self._stopping = False
        self.tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """What waits is dropped; what is under way ends with the tasks."""
        self._stopping = True
        for lane in self._lanes.values():
            for job in lane.jobs:
                if not job.done.done():
                    job.done.cancel()
            lane.jobs.clear()
            lane.wakeup.set()

    def try_again(self) -> None:
        """Destinations that are left alone are asked now."""
        for lane in self._lanes.values():
            lane.down = None

    def enqueue(self, name: str, job: Job) -> None:
        if len(self._lanes) > LANES:
            now = asyncio.get_running_loop().time()
            for old in [
                old for old, lane in self._lanes.items() if not lane.workers and not lane.jobs and lane.down_until <= now
            ]:
                del self._lanes[old]
        lane = self._lanes.setdefault(name, Lane())
        lane.jobs.append(job)
        lane.wakeup.set()
        most = WORKERS_A_LANE if self._working < CROWDED else 1
        if lane.workers < most and lane.workers < len(lane.jobs):
            lane.workers += 1
            self._working += 1
            task = asyncio.create_task(self._work(name, lane))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _work(self, name: str, lane: Lane) -> None:
        """One connection's worth of a lane."""
        client: SmtpClient | None = None
        try:
            async with self._workers:
                while True:
                    if not lane.jobs and client is not None and client.alive and not self._stopping:
                        lane.wakeup.clear()
                        try:
                            async with asyncio.timeout(IDLE_CONNECTION):
                                await lane.wakeup.wait()
                        except TimeoutError:
                            break
                    if not lane.jobs:
                        break
                    job = lane.jobs.popleft()
                    if job.done.done():
                        continue
                    try:
                        client, outcomes = await self._do(lane, job, client)
                    except Exception as problem:
                        log.exception("relay.job_failed", id=job.queued.id, lane=name)
                        client = None
                        text = f"an error on this server: {type(problem).__name__}"
                        outcomes = {number: later(text, "4.3.0") for number in job.numbers}
                    if not job.done.done():
                        job.done.set_result(outcomes)
        finally:
            lane.workers -= 1
            self._working -= 1
            if client is not None:
                await client.quit()
            if not lane.workers and not lane.jobs and self._lanes.get(name) is lane and not lane.down:
                del self._lanes[name]

    async def _do(self, lane: Lane, job: Job, client: SmtpClient | None) -> tuple[SmtpClient | None, dict[int, Outcome]]:
        for _ in range(2):
            reused = client is not None and client.alive and client.used < REUSE
            if not reused:
                if client is not None:
                    await client.quit()
                    client = None
                now = asyncio.get_running_loop().time()
                if lane.down is not None and now < lane.down_until:
                    return None, dict.fromkeys(job.numbers, lane.down)
                lane.down = None
                found = await self._remote.connect(job.domain, job.queued.envelope.tls)
                if not isinstance(found, SmtpClient):
                    outcome = found[0]
                    if isinstance(outcome, Failed) and not outcome.permanent:
                        lane.down, lane.down_until = outcome, asyncio.get_running_loop().time() + self._down_seconds()
                    return None, dict.fromkeys(job.numbers, outcome)
                client = found
            assert client is not None
            if job.queued.held:
                return client, dict.fromkeys(job.numbers, later("it is held", "4.7.1"))
            try:
                return client, await self._remote.send(client, job.queued, job.numbers)
            except ClientProblem as problem:
                client.abort()
                # A connection that was idle may have been closed meanwhile: that says nothing about the message,
                # unless all of it went out, so that another attempt may be a second copy.
                if not reused or problem.sent:
                    return None, {number: Failed(problem.reply, client.host) for number in job.numbers}
                client = None
        return None, {number: later("the connection broke", "4.4.2") for number in job.numbers}
