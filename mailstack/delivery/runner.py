"""The queue's runner: what is due goes into lanes, one a destination; a slow lane never stops another."""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.client import ClientProblem, SmtpClient
from mailstack.delivery.outcome import Delivered, Failed, Outcome, later
from mailstack.delivery.remote import REUSE, RemoteDelivery
from mailstack.delivery.schedule import next_attempt, rounds
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Recipient
from mailstack.store.errors import StoreProblem
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace

log = get_logger()
WORKERS_A_LANE = 10
WORKERS = 200
CROWDED = 100  # with this many at work, a lane that has a worker gets no other
LANES = 1000  # more are looked through for those that nobody needs
RECIPIENTS = 100  # in one transaction
DELAY_NOTICE = 4 * 3600.0
DOWN_SECONDS = 30.0
IDLE_CONNECTION = 2.0

LocalDelivery = Callable[[Queued, Recipient, int], Awaitable[Outcome]]


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


@dataclass(frozen=True, slots=True)
class Schedule:
    retry: list[float]
    expire: float


class QueueRunner:
    """start(), then stop(); kick() when something should be tried at once."""

    def __init__(
        self,
        queue: Queue,
        remote: RemoteDelivery,
        local: LocalDelivery,
        is_local: Callable[[Address], Awaitable[bool]],
        bouncer: Bouncer,
        trace: Trace,
        schedule: Schedule,
        randomness: random.Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._remote = remote
        self._local = local
        self._is_local = is_local
        self._bouncer = bouncer
        self._trace = trace
        self.schedule = schedule
        self._random = randomness
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._heap: list[tuple[float, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = asyncio.Semaphore(WORKERS)
        self._wakeup = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._stopping = False
        self._working = 0
        self._seen = 0.0  # the wall clock when it was last looked at

    async def start(self) -> None:
        self._queue.on_queued = self._take
        self._seen = self._clock()
        self._replan()
        self._main = asyncio.create_task(self._run())

    async def stop(self, seconds: float = 8.0) -> None:
        """Let what is under way finish, for a while; what is cut off is tried again at the next start."""
        self._stopping = True
        if self._main is not None:
            self._main.cancel()
        for lane in self._lanes.values():
            for job in lane.jobs:
                if not job.done.done():
                    job.done.cancel()
            lane.jobs.clear()
            lane.wakeup.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    def kick(self, queued: Queued) -> None:
        """Try now."""
        for lane in self._lanes.values():
            lane.down = None
        queued.next_attempt = 0.0
        self._plan(queued)

    def _plan(self, queued: Queued) -> None:
        heapq.heappush(self._heap, (queued.next_attempt, queued.id))
        self._wakeup.set()

    def _take(self, queued: Queued) -> None:
        """A new message: no need to wait for the clock."""
        if not self._stopping:
            self._begin(queued)

    def _replan(self) -> None:
        """Plan everything anew; no message waits longer than the schedule says, whatever the clock was before."""
        latest = self._seen + max(self.schedule.retry) * 1.1
        for queued in self._queue.messages.values():
            queued.next_attempt = min(queued.next_attempt, latest)
        self._heap = [(queued.next_attempt, queued.id) for queued in self._queue.messages.values()]
        heapq.heapify(self._heap)

    async def _run(self) -> None:
        while True:
            self._wakeup.clear()
            now, before = self._clock(), self._seen
            self._seen = now
            if now < before - 1.0:  # the wall clock was put back
                self._replan()
            while self._heap and self._heap[0][0] <= now:
                _, id = heapq.heappop(self._heap)
                queued = self._queue.messages.get(id)
                if queued is not None and not queued.busy and not queued.held and queued.next_attempt <= now:
                    self._begin(queued)
            # The wall clock may jump: never sleep longer than half a minute on its word.
            pause = min(30.0, max(0.05, self._heap[0][0] - now)) if self._heap else 30.0
            try:
                async with asyncio.timeout(pause):
                    await self._wakeup.wait()
            except TimeoutError:
                continue

    def _begin(self, queued: Queued) -> None:
        queued.busy = True
        task = asyncio.create_task(self._attempt(queued))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # One message ----------------------------------------------------------------------------------------------------

    async def _attempt(self, queued: Queued) -> None:
        outcomes: dict[int, Outcome] = {}
        try:
            await self._deliver(queued, outcomes)
        except asyncio.CancelledError:
            queued.busy = False
            if not self._stopping:
                raise
            return
        except Exception:
            log.exception("queue.attempt_failed", id=queued.id)
            for number in queued.pending():
                outcomes.setdefault(number, later("an error on this server", "4.3.0"))
        try:
            await self._settle(queued, outcomes)
        except Exception as problem:
            if isinstance(problem, StoreProblem):
                log.error("queue.settle_failed", id=queued.id, problem=problem.detail)
            else:
                log.exception("queue.settle_failed", id=queued.id)
            queued.next_attempt = self._clock() + 60.0
            self._plan(queued)
        finally:
            queued.busy = False

    async def _deliver(self, queued: Queued, outcomes: dict[int, Outcome]) -> None:
        """Fill in what came of the pending recipients."""
        pending = queued.pending()
        groups: dict[tuple[str, str], list[int]] = {}
        for number in pending:
            recipient = queued.envelope.recipients[number]
            if await self._is_local(recipient.address):
                outcomes[number] = await self._local(queued, recipient, number)
                continue
            domain = recipient.address.domain
            groups.setdefault((self._remote.lane(domain), domain if not self._remote.settings.smarthost else ""), []).append(
                number
            )
        waits = []
        for (name, domain), numbers in groups.items():
            for first in range(0, len(numbers), RECIPIENTS):
                done: asyncio.Future[dict[int, Outcome]] = asyncio.get_running_loop().create_future()
                self._enqueue(name, Job(queued, numbers[first : first + RECIPIENTS], domain, done))
                waits.append(done)
        if len(waits) == 1:
            outcomes |= await waits[0]
            return
        for left, next_done in zip(range(len(waits) - 1, -1, -1), asyncio.as_completed(waits), strict=True):
            found = await next_done
            outcomes |= found
            if left:
                await self._keep(queued, found)

    async def _keep(self, queued: Queued, outcomes: dict[int, Outcome]) -> None:
        """Other hosts are still under way, and that may take long: who has the message by now gets it only once."""
        arrived = [number for number, outcome in outcomes.items() if isinstance(outcome, Delivered)]
        for number in arrived:
            queued.states[number].done = True
            queued.states[number].reply = str(outcomes[number].reply)
        if arrived:
            try:
                await self._queue.save(queued)
            except StoreProblem as problem:
                log.error("queue.save_failed", id=queued.id, problem=problem.detail)

    async def _settle(self, queued: Queued, outcomes: dict[int, Outcome]) -> None:
        """Write down what came of it, tell the sender what must be told, and plan what is left."""
        now = self._clock()
        envelope = queued.envelope
        # A clock that jumped ahead says nothing: the attempts must have been made, too.
        enough = rounds(self.schedule.retry, self.schedule.expire)
        expired = now - envelope.received > self.schedule.expire and queued.attempts >= enough
        told: list[tuple[Recipient, Outcome]] = []
        final: list[int] = []
        for number, outcome in outcomes.items():
            recipient = envelope.recipients[number]
            state = queued.states[number]
            state.reply = str(outcome.reply)
            delivered = isinstance(outcome, Delivered)
            self._trace.record(
                envelope.id,
                "delivered" if delivered else "failed" if outcome.reply.permanent or expired else "deferred",
                to=str(recipient.address),
                host=outcome.host,
                reply=state.reply,
            )
            log.info(
                "message.relayed" if delivered else "message.attempt_failed",
                id=envelope.id,
                to=str(recipient.address),
                host=outcome.host,
                reply=state.reply,
            )
            if isinstance(outcome, Failed) and not outcome.permanent and expired:
                words = f"given up after several attempts; the last: {outcome.reply}"
                outcome = Failed(outcome.reply.__class__(554, "5.4.7", words), outcome.host)
            if delivered:
                state.done = True
            if delivered or outcome.reply.permanent:
                told.append((recipient, outcome))
                final.append(number)
        # Failures are done once their notice is kept: if it can't be, all of this comes again.
        await self._bouncer.tell(queued, told, now)
        for number in final:
            queued.states[number].done = True
        left = queued.pending()
        late = [
            number
            for number in left
            if not queued.states[number].delay_told and now - envelope.received > min(DELAY_NOTICE, self.schedule.expire / 2)
        ]
        if late:
            await self._bouncer.tell_delay(
                queued, [(envelope.recipients[number], outcomes[number]) for number in late if number in outcomes],
                now, envelope.received + self.schedule.expire,
            )  # fmt: skip
            for number in late:
                queued.states[number].delay_told = True
        if not left:
            await self._queue.finish(queued)
            return
        queued.attempts += 1
        queued.next_attempt = next_attempt(queued.attempts, now, self.schedule.retry, self._random)
        self._queue.forget_data(queued)
        await self._queue.save(queued)
        self._plan(queued)

    # Lanes ----------------------------------------------------------------------------------------------------------

    def _enqueue(self, name: str, job: Job) -> None:
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
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

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
                found = await self._remote.connect(job.domain)
                if not isinstance(found, SmtpClient):
                    outcome = found[0]
                    if isinstance(outcome, Failed) and not outcome.permanent:
                        lane.down, lane.down_until = outcome, asyncio.get_running_loop().time() + self._down_seconds()
                    return None, dict.fromkeys(job.numbers, outcome)
                client = found
            assert client is not None
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

    def _down_seconds(self) -> float:
        return min(DOWN_SECONDS, self.schedule.retry[0] / 2)
