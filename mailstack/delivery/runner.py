"""The queue's runner: what is due is delivered here or put into lanes; what came of it is written down and told."""

import asyncio
import heapq
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailstack.delivery.bounce import Bouncer, wants
from mailstack.delivery.lanes import Job, Lanes
from mailstack.delivery.outcome import Delivered, Failed, Outcome, later
from mailstack.delivery.remote import RemoteDelivery
from mailstack.delivery.schedule import next_attempt, rounds
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, Notify, Recipient
from mailstack.store.errors import StoreProblem
from mailstack.store.queue.queue import Arrival, Queue, Queued
from mailstack.store.trace import Trace
from mailstack.wire.smtp import Reply

log = get_logger()
RECIPIENTS = 100  # in one transaction
DELAY_NOTICE = 4 * 3600.0
DOWN_SECONDS = 30.0

LocalDelivery = Callable[[Queued, Recipient, int], Awaitable[Outcome]]


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
        self._lanes = Lanes(remote, self._down_seconds)
        self._heap: list[tuple[float, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._stopping = False
        self._waiting: dict[str, list[str]] = {}  # by the message that must be done first
        self.holds: Callable[[Queued], bool] = lambda _: False  # whether a new message is kept back
        self.on_outcome: Callable[[Envelope, Address, Outcome], None] = lambda *_: None
        self._seen = 0.0  # the wall clock when it was last looked at

    async def start(self) -> None:
        self._queue.on_queued = self._take
        self._queue.on_finished = self._let_go
        self._seen = self._clock()
        self._replan()
        self._main = asyncio.create_task(self._run())

    async def stop(self, seconds: float = 8.0) -> None:
        """Let what is under way finish, for a while; what is cut off is tried again at the next start."""
        self._stopping = True
        if self._main is not None:
            self._main.cancel()
        self._lanes.stop()
        tasks = self._tasks | self._lanes.tasks
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    def kick(self, queued: Queued) -> None:
        """Try now."""
        self._lanes.try_again()
        queued.next_attempt = 0.0
        self._plan(queued)

    def _plan(self, queued: Queued) -> None:
        heapq.heappush(self._heap, (queued.next_attempt, queued.id))
        self._wakeup.set()

    def _take(self, queued: Queued) -> None:
        """A new message: no need to wait for the clock."""
        if not self._stopping and not self.holds(queued) and not self._waits(queued):
            self._begin(queued)

    def _waits(self, queued: Queued) -> bool:
        """Whether it follows from a message that is not done: then it is begun by _let_go()."""
        turn = queued.envelope.after
        first = self._queue.messages.get(turn.id) if turn is not None else None
        if turn is None or first is None or turn.recipient in first.settled:
            return False
        self._waiting.setdefault(turn.id, []).append(queued.id)
        return True

    def _let_go(self, first: Queued) -> None:
        """What waited for this message, whose state is written down now."""
        first.settled = frozenset(range(len(first.states))).difference(first.pending())
        for one in dict.fromkeys(self._waiting.pop(first.id, ())):
            queued = self._queue.messages.get(one)
            if queued is not None and not queued.busy and not queued.held:
                self._take(queued)

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
                if queued is None or queued.busy or queued.held or queued.next_attempt > now or self._waits(queued):
                    continue
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
        else:
            self._let_go(queued)
        finally:
            queued.busy, queued.begun = False, True

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
            name = self._remote.lane(domain, queued.envelope.tls)
            key = name, domain if self._remote.direct(domain) else ""
            groups.setdefault(key, []).append(number)
        waits = []
        for (name, domain), numbers in groups.items():
            for first in range(0, len(numbers), RECIPIENTS):
                done: asyncio.Future[dict[int, Outcome]] = asyncio.get_running_loop().create_future()
                self._lanes.enqueue(name, Job(queued, numbers[first : first + RECIPIENTS], domain, done))
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
        arrived = [(number, outcome) for number, outcome in outcomes.items() if isinstance(outcome, Delivered)]
        for number, outcome in arrived:
            _mark_arrived(queued, number, outcome)
        if arrived:
            try:
                await self._queue.save(queued)
            except StoreProblem as problem:
                log.error("queue.save_failed", id=queued.id, problem=problem.detail)

    async def _settle(self, queued: Queued, outcomes: dict[int, Outcome]) -> None:
        """Write down what came of it, tell the sender what must be told, and plan what is left."""
        now = self._clock()
        # A clock that jumped ahead says nothing: the attempts must have been made, too.
        enough = rounds(self.schedule.retry, self.schedule.expire)
        expired = now - queued.envelope.received > self.schedule.expire and queued.attempts >= enough
        told: list[tuple[Recipient, Outcome]] = []
        final: list[int] = []
        for number, outcome in outcomes.items():
            self._note(queued, number, outcome, expired=expired)
            if isinstance(outcome, Failed) and not outcome.permanent and expired:
                words = f"given up after several attempts; the last: {outcome.reply}"
                outcome = Failed(outcome.reply.__class__(554, "5.4.7", words), outcome.host)
            if isinstance(outcome, Failed) and outcome.reply.permanent:
                told.append((queued.envelope.recipients[number], outcome))
                final.append(number)
        owed = [(number, state.owed) for number, state in enumerate(queued.states) if state.owed is not None]
        told += [(queued.envelope.recipients[number], _delivered(arrival)) for number, arrival in owed]
        # Failures are done once their notice is kept: if it can't be, all of this comes again.
        await self._bouncer.tell(queued, told, now)
        for number in final:
            queued.states[number].done = True
        for number, _ in owed:
            queued.states[number].owed = None
        await self._tell_delay(queued, outcomes, now)
        if not queued.pending():
            await self._queue.finish(queued)
            return
        queued.attempts += 1
        queued.next_attempt = next_attempt(queued.attempts, now, self.schedule.retry, self._random)
        self._queue.forget_data(queued)
        await self._queue.save(queued)
        self._plan(queued)

    def _note(self, queued: Queued, number: int, outcome: Outcome, *, expired: bool) -> None:
        """One recipient's outcome, for the queue, the trace and the log."""
        to = str(queued.envelope.recipients[number].address)
        state = queued.states[number]
        state.reply = str(outcome.reply)
        delivered = isinstance(outcome, Delivered)
        self.on_outcome(queued.envelope, queued.envelope.recipients[number].address, outcome)
        if isinstance(outcome, Delivered):
            _mark_arrived(queued, number, outcome)
        self._trace.record(
            queued.envelope.id,
            "delivered" if delivered else "failed" if outcome.reply.permanent or expired else "deferred",
            to=to,
            host=outcome.host,
            reply=state.reply,
            tls=outcome.tls,
        )
        event = "message.relayed" if delivered else "message.attempt_failed"
        log.info(event, id=queued.envelope.id, to=to, host=outcome.host, reply=state.reply)

    async def _tell_delay(self, queued: Queued, outcomes: dict[int, Outcome], now: float) -> None:
        """Tell the sender once that a message is still on its way."""
        envelope = queued.envelope
        if now - envelope.received <= min(DELAY_NOTICE, self.schedule.expire / 2):
            return
        late = [number for number in queued.pending() if not queued.states[number].delay_told]
        if late:
            failed = [(envelope.recipients[number], outcomes[number]) for number in late if number in outcomes]
            await self._bouncer.tell_delay(queued, failed, now, envelope.received + self.schedule.expire)
            for number in late:
                queued.states[number].delay_told = True

    def _down_seconds(self) -> float:
        return min(DOWN_SECONDS, self.schedule.retry[0] / 2)


def _mark_arrived(queued: Queued, number: int, outcome: Delivered) -> None:
    """It is there; who asked for word of that is owed it until it is sent, over a restart too."""
    state, recipient = queued.states[number], queued.envelope.recipients[number]
    state.done, state.reply = True, str(outcome.reply)
    if wants(recipient, Notify.SUCCESS) and not outcome.confirms:
        reply = outcome.reply
        state.owed = Arrival(reply.code, reply.enhanced, reply.text, outcome.host, outcome.final)


def _delivered(arrival: Arrival) -> Delivered:
    return Delivered(Reply(arrival.code, arrival.enhanced, arrival.text), arrival.host, final=arrival.final)
