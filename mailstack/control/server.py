"""The control socket: one JSON line in, one JSON line out."""

import asyncio
import contextlib
import os
from pathlib import Path

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
                except (ValueError, KeyError, AttributeError):
                    answer = {"error": "not a request", "code": 2}
                else:
                    try:
                        answer = await run(self._table, name, request)
                    except Exception:
                        log.exception("control.failed", do=name)
                        answer = {"error": "something went wrong; the log says what", "code": 1}
                writer.write(orjson.dumps(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
