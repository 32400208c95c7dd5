"""The HTTP door: uvicorn's protocol on our own listeners, so that PROXY, TLS and the stop are as at every other door."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mailstack.log import get_logger
from mailstack.net.proxied import peer_of
from mailstack.net.serving import serve
from mailstack.web.crowd import WebCrowd
from mailstack.wire.proxy import Ends

log = get_logger()
HEAD_SECONDS = 15.0  # from the first octet, or from the connection, to the end of a request's head
HEAD_LIMIT = 65536  # octets of a request's head that has no end yet
BODY_SECONDS, BODY_LEAST = 20.0, 10_000  # so many octets of a body must come in such a time
PIPELINED = 32  # requests that wait behind the one that is answered
KEPT_SECONDS = 30  # a connection that asks nothing more


class _TooMuch(Exception):
    """The parser stops at it, and 400 is answered."""


class WebConnection(HttpToolsProtocol):
    """`client` is who a trusted proxy named; a head without an end, or what does not come, ends the connection."""

    ends: Ends | None = None
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_size = _body_size = 0
    _counted: str | None = None

    def __init__(self, config: Config, state: ServerState, crowd: WebCrowd) -> None:
        super().__init__(config, state, {})
        self._crowd = crowd

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = peer_of(transport, self.ends)
        if not self._crowd.enter(peer):
            transport.abort()
            return
        self._counted = peer
        self.client = (peer_of(transport, self.ends), 0)
        self.app_state = {"direct": peer_of(transport, None)}
        self.scheme = "https" if transport.get_extra_info("ssl_object") is not None else "http"
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._counted is not None:
            self._crowd.leave(self._counted)
            self._counted = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT and not self.transport.is_closing():
                log.info("http.head_too_large", peer=self.client[0] if self.client else "local")
                self.send_400_response("The head is too large.")

    def on_message_begin(self) -> None:
        self._stop_waiting()
        self._wait_for_head()
        self._in_head, self._head_size, self._body_size = True, 0, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._in_head, self._head_size = False, 0
        if len(self.pipeline) >= PIPELINED:
            raise _TooMuch
        super().on_headers_complete()
        self._wait_for_body(0)

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_waiting()
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _wait_for_body(self, had: int) -> None:
        self._timer = self.loop.call_later(BODY_SECONDS, self._look_at_body, had)

    def _look_at_body(self, had: int) -> None:
        """Drop by drop, a body would hold the connection for ever. While we do not read it, it is not late."""
        if self.flow.read_paused or self._body_size >= had + BODY_LEAST:
            self._wait_for_body(self._body_size)
        else:
            self._give_up()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        log.info("http.timed_out", peer=self.client[0] if self.client else "local")
        self.transport.close()


class WebServer:
    """listen(), then stop()."""

    def __init__(self, app: ASGIApp, spared: Callable[[str], bool] = lambda _: False) -> None:
        """`spared`: addresses that may hold any number of connections."""
        # No lifespan, no signals, no logging of its own: the process has all three. Our headers have the date.
        self._config = Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        self._crowd = WebCrowd(spared)
        self._servers: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        for one in sockets:
            self._servers.append(await serve(one, self._connection, tls, gate=self._crowd))

    def _connection(self) -> asyncio.Protocol:
        return WebConnection(self._config, self._state, self._crowd)

    async def stop(self, seconds: float) -> None:
        """Take no more; what is under way may end."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=seconds)
        for connection in list(self._state.connections):
            connection.transport.abort()
