"""The backup's helper process from the server's side."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

import mailstack
from mailstack.store.errors import StoreFailed

LINE_LIMIT = 256 << 20
PATIENCE = 2.0  # seconds for it to end by itself
NICENESS = 19


class BackupProcess:
    """start(), ask() one question after another, close(). On the event loop."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start(self) -> None:
        # The same code that runs here, wherever it is; and nothing of the folder in which the server was started.
        environment = {**os.environ, "PYTHONPATH": str(Path(mailstack.__file__).parents[1])}
        command = [sys.executable, "-P", "-m", "mailstack.store.backup.helper", str(NICENESS)]
        ours, its = socket.socketpair()
        with its:
            # Not by uvloop: that copies all page tables first, and the loop waits until the copy has run.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - this program itself
                command, stdin=its.fileno(), stdout=its.fileno(), env=environment, start_new_session=True
            )
        self._streams = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Raises StoreFailed with what it says, or when it is gone."""
        assert self._streams is not None
        reader, writer = self._streams
        try:
            writer.write(msgspec.json.encode({"do": do, **arguments}) + b"\n")
            await writer.drain()
            line = await reader.readline()
        except OSError as problem:
            raise StoreFailed(f"the process that backs up: {problem}") from problem
        if not line.endswith(b"\n"):
            raise StoreFailed("the process that backs up has ended")
        found = msgspec.json.decode(line)
        if "error" in found:
            raise StoreFailed(found["error"])
        return found["ok"]

    async def close(self) -> None:
        """End it, whatever it is at: the next backup goes on there."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
