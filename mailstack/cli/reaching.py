"""Which listener to use for what, from the server's own machine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mailstack.config import Config
from mailstack.net.reaching import greets, has_ipv6, healthz, hosts, trusting
from mailstack.wire.proxy import LOCAL_HEADER

__all__ = ["greets", "has_ipv6", "healthz", "hosts", "place", "prefixed", "trusting"]


def place(config: Config, *services: str) -> tuple[str, str, int] | None:
    """The first configured listener of the first of these services that has one."""
    for service in services:
        for name, text in config.listeners():
            if name == service:
                return (name, *hosts(text)[0])
    return None


@contextlib.asynccontextmanager
async def prefixed(host: str, port: int) -> AsyncIterator[int]:
    """A port of this machine that leads to a listener, with the PROXY header in front that says "I speak for myself"."""
    tasks = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        back.write(LOCAL_HEADER)
        for pair in ((reader, back), (there, writer)):
            tasks.add(asyncio.create_task(pass_on(*pair)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
