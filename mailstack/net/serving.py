"""Serving a listening socket: with TLS from the first byte on or without, behind a proxy or not."""

import asyncio
import ssl
from collections.abc import Callable
from socket import socket

from mailstack.net.listen import ListeningSocket
from mailstack.net.proxied import ProxyHeader
from mailstack.net.tls_layer import Gate, TlsLayer

BACKLOG = 512


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
