"""GET /healthz says whether the server runs, and the policies of this server's domains are here for those who ask."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence

from mailstack.log import get_logger
from mailstack.net.proxied import peer_of
from mailstack.net.serving import serve
from mailstack.wire.proxy import Ends

WORDS = b"mailstack\n\nThis port answers /healthz, and mail policies under /.well-known.\n"
HEAD_LIMIT = 8192
REQUEST_SECONDS = 10.0
log = get_logger()


class _Connection(asyncio.StreamReaderProtocol):
    ends: Ends | None = None


class HealthServer:
    """`texts`: plain texts by path."""

    def __init__(self, healthy: Callable[[], bool], texts: Mapping[str, bytes] | None = None) -> None:
        self._healthy = healthy
        self.texts = texts or {}
        self._servers: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        for one in sockets:
            self._servers.append(await serve(one, self._protocol, None))

    def _protocol(self) -> asyncio.Protocol:
        return _Connection(asyncio.StreamReader(limit=HEAD_LIMIT), self._serve)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            method, path, *_ = head.split(b"\r\n")[0].split(b" ")
            if method not in (b"GET", b"HEAD"):
                status, body = "405 Method Not Allowed", WORDS
            elif path.partition(b"?")[0] == b"/healthz":
                status, body = ("200 OK", b"ok\n") if self._healthy() else ("503 Service Unavailable", b"not ready\n")
            elif (text := self.texts.get(path.partition(b"?")[0].decode("ascii", "replace"))) is not None:
                status, body = "200 OK", text
            else:
                status, body = "404 Not Found", WORDS
            fields = (
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(fields.encode() + (b"" if method == b"HEAD" else body))
            await writer.drain()
        except TimeoutError:
            log.info("http.timed_out", peer=peer_of(writer.transport, getattr(writer.transport.get_protocol(), "ends", None)))
        except (ValueError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def stop(self) -> None:
        for server in self._servers:
            server.close()
