"""How one sees what goes on: counters, the self-test by the clock, and what the postmaster is told of."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable

from mailstack import __version__
from mailstack.app.data import Data
from mailstack.app.seeing_settings import SeeingSettings
from mailstack.app.selftesting import Selftesting
from mailstack.app.watching import Trouble, Watching
from mailstack.control.selftests import Run
from mailstack.metrics import MEDIA_TYPE, Gauge, Metrics
from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins
from mailstack.web.metrics import MetricsPage

SELFTEST_TEXT = """The self-test, which sends a mail through this server and fetches it again, failed:

    {problem}

    mailstack selftest

runs it again, and

    mailstack check

looks for causes. Until it succeeds, /healthz says that the server is not well."""


class Seeing:
    """start() once the doors are open, then stop(); use() when settings change."""

    def __init__(self, data: Data, settings: SeeingSettings, limits: Limits, logins: Logins, path: str | None) -> None:
        self._data = data
        self._limits = limits
        self.metrics = Metrics(self._gauges)
        self.page = MetricsPage(self.metrics.text, MEDIA_TYPE, settings.metrics)
        data.trace.on_event.append(self.metrics.message)
        logins.on_outcome = self.metrics.login
        self.tell: Callable[[str, str], Awaitable[None]] | None = None  # a notice for the postmaster: subject and text
        clock = data.surroundings.clock
        self.watching = Watching(settings.watch, data.queue, data.path, clock, self._tell, self._others)
        self._selftesting = Selftesting(path, settings.selftest, self._selftest_failed)
        data.selftests.on_run.append(self._ran)
        self.more_gauges: list[Callable[[], Iterable[Gauge]]] = []
        self._looking: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self.metrics.start()
        self.watching.start()
        self._selftesting.start()

    async def stop(self) -> None:
        await self._selftesting.stop()
        await self.watching.stop()
        await self.metrics.stop()

    def use(self, settings: SeeingSettings) -> None:
        self.page.settings = settings.metrics
        self.watching.settings = settings.watch
        self._selftesting.seconds = settings.selftest

    def trouble(self) -> str | None:
        """What the self-test found, for /healthz."""
        last = self._data.selftests.last
        return None if last is None or last.problem is None else f"self-test: {last.problem}"

    async def _tell(self, trouble: Trouble) -> None:
        if self.tell is not None:
            await self.tell(trouble.subject, trouble.text)

    def _others(self) -> list[Trouble]:
        last = self._data.selftests.last
        if last is None or last.problem is None:
            return []
        return [Trouble("selftest", "The self-test fails", SELFTEST_TEXT.format(problem=last.problem))]

    def _selftest_failed(self, problem: str) -> None:
        self._data.selftests.take(Run(self._data.surroundings.clock(), problem, ()))

    def _ran(self, run: Run) -> None:
        """The postmaster hears of it now, and not in a minute."""
        if run.problem is not None or "selftest" in self.watching.open:
            task = asyncio.get_running_loop().create_task(self.watching.look())
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    def _gauges(self) -> Iterable[Gauge]:
        now, queued = self._data.surroundings.clock(), list(self._data.queue.messages.values())
        held = sum(one.held for one in queued)
        oldest = max((now - one.envelope.received for one in queued if not one.held), default=0.0)
        yield Gauge("mailstack_info", "The program", (((("version", __version__),), 1.0),))
        states = ((("state", "waiting"),), float(len(queued) - held)), ((("state", "held"),), float(held))
        yield Gauge("mailstack_queue_messages", "Messages in the queue", states)
        yield _one("mailstack_queue_oldest_seconds", "Age of the oldest message that waits", oldest)
        yield _one("mailstack_connections", "Connections of all doors for mail", self._limits.open)
        yield _one("mailstack_trace_lost", "Events of the trace that could not be written", self._data.trace.lost)
        last = self._data.selftests.last
        if last is not None:
            yield _one("mailstack_selftest_ok", "Whether the last self-test went well", float(last.problem is None))
            yield _one("mailstack_selftest_timestamp_seconds", "When it ended", last.time)
        troubles = tuple(((("key", key),), 1.0) for key in self.watching.open)
        yield Gauge("mailstack_trouble", "What the postmaster was told of, and stays so", troubles)
        disk = os.statvfs(self._data.path)
        yield _one("mailstack_disk_free_bytes", "Free octets where the mail is", disk.f_bavail * disk.f_frsize)
        yield _one("mailstack_disk_size_bytes", "Octets there in all", disk.f_blocks * disk.f_frsize)
        for more in self.more_gauges:
            yield from more()


def _one(name: str, help: str, value: float) -> Gauge:
    return Gauge(name, help, (((), float(value)),))
