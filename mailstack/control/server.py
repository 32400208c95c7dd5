"""The control socket: one JSON line in, one JSON line out."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import orjson

from mailstack.control.operations import Operation, run
from mailstack.log import get_logger

log = get_logger()
LINE_LIMIT = 64 << 20  # an import of many accounts is one line


class ControlServer:
    def __init__(self, path: Path, table: dict[str, Operation]) -> None:
        self._path = path
        self._table = table
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[dict[str, Any]]] = set()

    async def start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)
        finally:
            os.umask(before)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    request = orjson.loads(line)
                    name = str(request.pop("do"))
                except (ValueError, KeyError, AttributeError, TypeError):
                    answer = {"error": "not a request", "code": 2}
                else:
                    answer = await self._run(name, request)
                writer.write(orjson.dumps(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _run(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """An operation is finished even if the one who asked is gone."""
        task = asyncio.create_task(run(self._table, name, request))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        try:
            return await asyncio.shield(task)
        except Exception:
            log.exception("control.failed", do=name)
            return {"error": "something went wrong; the log says what", "code": 1}

    async def stop(self, seconds: float) -> None:
        """Take no more; what is under way may end."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        if self._busy:
            await asyncio.wait(self._busy, timeout=seconds)
