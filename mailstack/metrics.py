"""What is counted, in the form that Prometheus reads. Counting costs a look-up; gauges are read when they are asked for."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PULSE_SECONDS = 0.25
REASONS = 200  # different ones that are counted apart


@dataclass(frozen=True, slots=True)
class Gauge:
    """Values at this moment, by labels: ((("service", "imap"),), 12.0)."""

    name: str
    help: str
    values: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


@dataclass(frozen=True, slots=True)
class _Gauges:
    """A collector of prometheus-client."""

    read: Callable[[], Iterable[Gauge]]

    def collect(self) -> Iterator[Metric]:
        for gauge in self.read():
            labels = [name for name, _ in gauge.values[0][0]] if gauge.values else []
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=labels)
            for pairs, value in gauge.values:
                family.add_metric([text for _, text in pairs], value)
            yield family

    def describe(self) -> list[Metric]:
        """Nothing is asked while it is registered."""
        return []


class Metrics:
    """One for the server, on its event loop."""

    def __init__(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Gauges(gauges))
        self._messages = Counter(
            "mailstack_messages", "What became of messages, by the trace's event", ["event"], registry=self.registry
        )
        self._refused = Counter("mailstack_refusals", "Messages not taken, by reason", ["reason"], registry=self.registry)
        self._octets = Counter("mailstack_message_octets", "Octets of messages that came in", ["by"], registry=self.registry)
        self._logins = Counter(
            "mailstack_logins", "Logins by protocol and outcome", ["protocol", "outcome"], registry=self.registry
        )
        self._lag = Histogram(
            "mailstack_loop_lag_seconds",
            "How late the event loop is for a timer: its stalls",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self._children: dict[str, Any] = {}
        self._reasons: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def message(self, id: str, event: str, fields: dict[str, Any]) -> None:
        """An event of the trace."""
        child = self._children.get(event)
        if child is None:
            child = self._children[event] = self._messages.labels(event)
        child.inc()
        if event == "refused":
            reason = str(fields.get("reason"))
            if reason not in self._reasons and len(self._reasons) >= REASONS:
                reason = "other"
            self._reasons.add(reason)
            self._refused.labels(reason).inc()
        elif event == "arrived":
            self._octets.labels("submission" if fields.get("account") else "inbound").inc(fields.get("size") or 0)

    def login(self, protocol: str, outcome: str) -> None:
        self._logins.labels(protocol, outcome).inc()

    def start(self) -> None:
        """Feel the event loop's pulse."""
        self._task = asyncio.get_running_loop().create_task(self._pulse())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _pulse(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PULSE_SECONDS
            await asyncio.sleep(PULSE_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))

    def text(self) -> bytes:
        """All of it, as MEDIA_TYPE."""
        return generate_latest(self.registry)
