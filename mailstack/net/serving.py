"""Serving a listening socket: with TLS from the first byte on or without, behind a proxy or not."""

import asyncio
import ssl
from collections.abc import Callable, Collection
from socket import socket
from typing import Protocol, TypeVar

from mailstack.net.listen import ListeningSocket
from mailstack.net.proxied import ProxyHeader
from mailstack.net.tls_layer import Gate, TlsLayer

BACKLOG = 512
LAST_SECONDS = 4.0  # for what is under way when the server stops


class Guest(Protocol):
    """A connection. `task`: what is under way; `shaking`: nothing but hands, for STARTTLS."""

    task: asyncio.Task[None] | None

    @property
    def shaking(self) -> bool: ...

    def abort(self) -> None: ...


G = TypeVar("G", bound=Guest)


async def serve(
    one: socket,
    make: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None,
    *,
    gate: Gate | None = None,
) -> asyncio.Server:
    """Serve a socket. `make` gives a protocol with an attribute `ends` (net/proxied.py Door). `gate` counts handshakes."""
    loop = asyncio.get_running_loop()
    proxies = one.proxies if isinstance(one, ListeningSocket) else None
    if proxies is not None:
        return await loop.create_server(lambda: ProxyHeader(make, tls, proxies, gate), sock=one, backlog=BACKLOG)
    if tls is not None:
        return await loop.create_server(lambda: TlsLayer(make(), tls, gate=gate), sock=one, backlog=BACKLOG)
    return await loop.create_server(make, sock=one, backlog=BACKLOG)


async def part(connections: Collection[G], bye: Callable[[G], None]) -> None:
    """Let what is under way be answered, say goodbye to everybody, and close."""
    tasks = [connection.task for connection in connections if connection.task is not None]
    for connection in list(connections):
        if connection.shaking:
            connection.abort()
        elif connection.task is None:
            bye(connection)
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_SECONDS)
    for connection in list(connections):
        bye(connection)
    await asyncio.sleep(0)
    for connection in list(connections):
        connection.abort()
