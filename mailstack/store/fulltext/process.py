"""A helper process from the server's side: started when it is asked, ended when nobody asks for a while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
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
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
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
                writer = self._writer or await self._start()
                writer.write(framed(Numbered(number, question)))
                await writer.drain()
            return await future
        except (OSError, RuntimeError) as problem:
            raise HelperGone(str(problem)) from problem
        finally:
            self._waiting.pop(number, None)
            if not future.cancel() and not future.cancelled():
                future.exception()  # it was seen
            if not self._waiting and self._rest is None:
                self._rest = asyncio.get_running_loop().call_later(self._idle, self._end)

    async def _start(self) -> asyncio.StreamWriter:
        # The same code that runs here, wherever it is; and nothing of the folder in which the server was started.
        environment = {**os.environ, "PYTHONPATH": str(Path(mailstack.__file__).parents[1])}
        command = [sys.executable, "-P", "-m", "mailstack.store.fulltext.helper", str(self._niceness)]
        ours, its = socket.socketpair()
        try:
            # Not by uvloop: that copies all page tables first, and the loop waits until the copy has run.
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - this program itself
                command, stdin=its.fileno(), stdout=its.fileno(), env=environment, start_new_session=True
            )
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        self._process, self._writer = process, writer
        self._answers = asyncio.create_task(self._listen(process, reader, writer))
        return writer

    async def _listen(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                answer = questions.to_answer.decode(await reader.readexactly(length))
                future = self._waiting.get(answer.id)
                if future is not None and not future.done():
                    future.set_result(answer)
        if self._process is process:
            self._process = self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(HelperDied("it ended"))
        writer.close()
        await asyncio.to_thread(process.wait)

    def _end(self) -> None:
        """It ends when its input does."""
        writer, self._process, self._writer = self._writer, None, None
        self._rest = None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def close(self) -> None:
        """End it, whatever it is at."""
        if self._rest is not None:
            self._rest.cancel()
        process = self._process
        self._end()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HelperGone("the server stops"))
        if self._answers is not None:
            _, running = await asyncio.wait([self._answers], timeout=PATIENCE)
            if running and process is not None:
                process.kill()
                await asyncio.wait([self._answers], timeout=PATIENCE)
