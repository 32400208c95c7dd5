"""Calls that wait at the same moment go to a thread together: one hop, shared flushes, and few fights for the interpreter."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """`work` takes a batch in a thread and gives a result or an exception for each item, in order.

    At most `lanes` batches are under way; what comes meanwhile is the next one, of at most `limit` items. `after` is told of
    each item's end on the event loop, whether anybody still waits for it or not.
    """

    def __init__(
        self,
        executor: Executor,
        work: Callable[[list[T]], Sequence[R | Exception]],
        after: Callable[[T, R | BaseException], None] | None = None,
        *,
        lanes: int = 1,
        limit: int = 32,
    ) -> None:
        self._executor = executor
        self._work = work
        self._after = after
        self._lanes = lanes
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: set[asyncio.Future[Sequence[R | Exception]]] = set()
        self._planned = False

    def do(self, item: T) -> "asyncio.Future[R]":
        """The item's result. The work goes on if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._lanes and not self._planned:
            # Not at once: what else this round of the loop brings goes along.
            self._planned = True
            loop.call_soon(self._start)
        return future

    async def settled(self) -> None:
        """Return when nothing is under way."""
        while self._running or self._waiting:
            if self._running:
                await asyncio.wait(self._running)
            await asyncio.sleep(0)  # what was waiting begins, and `after` is told

    def _start(self) -> None:
        self._planned = False
        if not self._waiting:
            return
        batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
        hop = asyncio.get_running_loop().run_in_executor(self._executor, self._work, [item for item, _ in batch])
        self._running.add(hop)
        hop.add_done_callback(partial(self._finish, batch))

    def _finish(self, batch: "list[tuple[T, asyncio.Future[R]]]", hop: "asyncio.Future[Sequence[R | Exception]]") -> None:
        self._running.discard(hop)
        problem = asyncio.CancelledError() if hop.cancelled() else hop.exception()
        results = hop.result() if problem is None else [problem] * len(batch)
        for (item, future), result in zip(batch, results, strict=True):
            if self._after is not None:
                self._after(item, result)
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
                future.exception()  # the caller may be gone
            else:
                future.set_result(result)
        self._start()
