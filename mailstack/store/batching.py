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

    At most `lanes` batches are under way; what comes meanwhile is the next batch, of at most `limit` items.
    """

    def __init__(
        self, executor: Executor, work: Callable[[list[T]], Sequence[R | Exception]], *, lanes: int = 1, limit: int = 32
    ) -> None:
        self._executor = executor
        self._work = work
        self._lanes = lanes
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running = 0
        self._planned = False

    def do(self, item: T) -> "asyncio.Future[R]":
        """The item's result. The work goes on if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        if self._running < self._lanes and not self._planned:
            # Not at once: what else this round of the loop brings goes along.
            self._planned = True
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        self._planned = False
        while self._waiting and self._running < self._lanes:
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            self._running += 1
            hop = asyncio.get_running_loop().run_in_executor(self._executor, self._work, [item for item, _ in batch])
            hop.add_done_callback(partial(self._finish, [future for _, future in batch]))

    def _finish(self, futures: "list[asyncio.Future[R]]", hop: "asyncio.Future[Sequence[R | Exception]]") -> None:
        self._running -= 1
        problem = asyncio.CancelledError() if hop.cancelled() else hop.exception()
        results = hop.result() if problem is None else [problem] * len(futures)
        for future, result in zip(futures, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
                future.exception()  # the caller may be gone
            else:
                future.set_result(result)
        self._start()
