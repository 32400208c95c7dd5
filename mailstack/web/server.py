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
KEPT_SECONDS = 30  # a connection that asks nothing more


class WebConnection(HttpToolsProtocol):
    """`client` is who a trusted proxy named; a head that does not come ends the connection."""

    ends: Ends | None = None
    _head_timer: asyncio.TimerHandle | None = None
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

    def on_message_begin(self) -> None:
        self._stop_waiting()
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
