"""A takeout while it is made: a helper process writes it, and what it writes is handed on as fast as it is taken."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import mailstack
from mailstack.store.errors import StoreFailed
from mailstack.store.takeout.pieces import Piece, encode

BLOCK = 1 << 17


async def stream(pieces: AsyncIterator[list[Piece]]) -> AsyncGenerator[bytes, None]:
    """The zip in blocks. Raises StoreFailed where it could not be finished: what came before is no whole zip."""
    process, reader, writer = await _start()
    feeding = asyncio.create_task(_feed(pieces, writer))
    # The end of its input alone would make a whole zip of what is none.
    feeding.add_done_callback(lambda task: None if not task.cancelled() and task.exception() is None else _kill(process))
    try:
        while block := await reader.read(BLOCK):
            yield block
        try:
            await feeding
        except OSError as problem:
            raise StoreFailed("the takeout could not be written") from problem
        if await asyncio.to_thread(process.wait):
            raise StoreFailed("the takeout could not be written")
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        _kill(process)
        writer.close()
        await asyncio.to_thread(process.wait)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _start() -> tuple[subprocess.Popen[bytes], asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    environment = {**os.environ, "PYTHONPATH": str(Path(mailstack.__file__).parents[1])}
    command = [sys.executable, "-P", "-m", "mailstack.store.takeout.helper"]
    process = await loop.run_in_executor(None, lambda: subprocess.Popen(  # noqa: S603 - this program itself
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    ))  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    reader = asyncio.StreamReader(limit=BLOCK)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, process.stdin)
    return process, reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def _feed(pieces: AsyncIterator[list[Piece]], writer: asyncio.StreamWriter) -> None:
    async for some in pieces:
        writer.write(encode(some))
        await writer.drain()
    writer.close()
