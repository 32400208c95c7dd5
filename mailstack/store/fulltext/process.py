"""A helper process from the server's side: started when it is asked, ended when nobody asks for a while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import mailstack
from mailstack.log import get_logger
from mailstack.store.fulltext import questions
from mailstack.store.fulltext.framing import LENGTH, framed
from mailstack.store.fulltext.questions import Answer, Numbered, Question

log = get_logger()
PATIENCE = 2.0  # seconds for a helper to end by itself


class HelperGone(Exception):
    """It could not be started, or was ended."""


class HelperDied(HelperGone):
    """It ended before it answered: what it was asked may be the reason."""


class HelperProcess:
    """All on the event loop."""

    def __init__(self, niceness: int, idle: float) -> None:
        """Ends after `idle` seconds without a question."""
        self._niceness = niceness
        self._idle = idle
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._answers: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def ask(self, question: Question) -> Answer:
        """Raises HelperGone."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with self._starting:
                process = self._process or await self._start()
                assert process.stdin is not None
                process.stdin.write(framed(Numbered(number, question)))
                await process.stdin.drain()
            return await future
        except (OSError, RuntimeError) as problem:
            raise HelperGone(str(problem)) from problem
        finally:
            self._waiting.pop(number, None)
            if not future.cancel() and not future.cancelled():
                future.exception()  # it was seen
            if not self._waiting and self._rest is None:
                self._rest = asyncio.get_running_loop().call_later(self._idle, self._end)

    async def _start(self) -> asyncio.subprocess.Process:
        # The same code that runs here, wherever it is; and nothing of the folder in which the server was started.
        environment = {**os.environ, "PYTHONPATH": str(Path(mailstack.__file__).parents[1])}
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "mailstack.store.fulltext.helper",
            str(self._niceness),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._answers = asyncio.create_task(self._listen(process))
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                answer = questions.to_answer.decode(await process.stdout.readexactly(length))
                future = self._waiting.get(answer.id)
                if future is not None and not future.done():
                    future.set_result(answer)
        if self._process is process:
            self._process = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(HelperDied("it ended"))
        await process.wait()

    def _end(self) -> None:
        """It ends when its input does."""
        process, self._process = self._process, None
        self._rest = None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    async def close(self) -> None:
        """End it, whatever it is at."""
        if self._rest is not None:
            self._rest.cancel()
        process = self._process
        self._end()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HelperGone("the server stops"))
        if process is not None:
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if self._answers is not None:
            await asyncio.wait([self._answers], timeout=PATIENCE)
