"""TLS between a transport and its protocol, for thousands of connections that wait: it holds what OpenSSL needs, no buffer.

uvloop's own layer keeps a buffer of 256 KB a connection, of which the pages that were ever touched stay.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Protocol

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.client_hello import parse

RECORD = 16384  # octets of one TLS record: as much goes in and out at a time, because OpenSSL's buffers never shrink
TOGETHER = 4  # records in one write
HANDSHAKE_SECONDS = 30.0
ACME_TLS = "acme-tls/1"  # RFC 8737 6.2


class Gate(Protocol):
    """Who counts connections while they shake hands: such a client may be silent, too."""

    def enter(self, peer: str) -> bool:
        """A handshake begins; False: the connection is closed without a word."""

    def leave(self, peer: str) -> None:
        """It ended: connection_made() follows, or nothing."""


class TlsLayer(asyncio.Protocol, asyncio.Transport):
    """The server's end. The protocol of the transport below, and the transport of the protocol above (`app`).

    `ready` is given for an upgrade (STARTTLS): it becomes this layer, or ConnectionError; connection_made() of `app` is
    called where it is not.
    """

    __slots__ = (
        "_app",
        "_below",
        "_closing",
        "_context",
        "_gate",
        "_hello",
        "_incoming",
        "_object",
        "_outgoing",
        "_reading_paused",
        "_ready",
        "_shaken",
        "_timer",
    )

    def __init__(
        self,
        app: asyncio.Protocol,
        context: ssl.SSLContext,
        ready: asyncio.Future[TlsLayer] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._app = app
        self._context = context
        self._ready = ready
        self._gate = gate  # until the handshake has ended
        self._below: asyncio.Transport
        self._object: ssl.SSLObject
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO
        self._hello: bytes | None = None  # what came of it, where it decides what is served
        self._shaken = False
        self._closing = False
        self._reading_paused = False
        self._timer: asyncio.TimerHandle | None = None

    # The protocol of what is below ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport  # type: ignore[assignment]
        if self._gate is not None and not self._gate.enter(self._peer()):
            self._gate = None
            self._closing = True
            self._below.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self.abort)
        if getattr(self._context, "challenges", None):
            self._hello = b""
        else:
            self._begin(self._context)

    def _begin(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shake()

    def data_received(self, data: bytes) -> None:
        if self._hello is not None:
            self._hello += data
            context = _choose(self._hello, self._context)
            if context is None:
                return
            data, self._hello = self._hello, None
            self._begin(context)
        for first in range(0, len(data), RECORD):
            self._incoming.write(data[first : first + RECORD] if len(data) > RECORD else data)
            if not self._shaken:
                self._shake()
            if self._shaken:
                self._read()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, problem: Exception | None) -> None:
        self._closing = True
        self._stop_timer()
        self._leave_gate()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionResetError())
        elif self._shaken:
            self._app.connection_lost(problem)

    def pause_writing(self) -> None:
        if self._shaken:
            self._app.pause_writing()

    def resume_writing(self) -> None:
        if self._shaken:
            self._app.resume_writing()

    # TLS ------------------------------------------------------------------------------------------------------------

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, OSError, ValueError):
            self._flush()  # the alert that says why
            self._closing = True
            self._below.close()
            return
        self._flush()
        self._stop_timer()
        if self._object.selected_alpn_protocol() == ACME_TLS:
            self._closing = True  # RFC 8737 4: the handshake was all
            self._below.close()
            return
        self._shaken = True
        self._leave_gate()
        if self._ready is None:
            self._app.connection_made(self)
        elif not self._ready.done():
            self._ready.set_result(self)
            self._ready = None

    def _leave_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave(self._peer())

    def _peer(self) -> str:
        """The client's address, or what a proxy said of it; IPv4 as it is, also on a listener for both families."""
        ends = getattr(self._app, "ends", None)
        name = self._below.get_extra_info("peername")
        if ends is not None:
            return str(ends.peer)
        return str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) and name else "local"

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        while not self._reading_paused and not self._closing:
            try:
                data = self._object.read(RECORD)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLError, OSError, ValueError):
                self._flush()
                self.abort()
                return
            if not data:  # the peer's close_notify
                self._app.eof_received()
                self.close()
                return
            self._app.data_received(data)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._below.is_closing():
            self._below.write(self._outgoing.read())

    # The transport of what is above ---------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        view = memoryview(data)
        try:
            while view:
                for _ in range(TOGETHER):
                    view = view[self._object.write(view[:RECORD]) :]
                    if not view:
                        break
                self._flush()
        except (ssl.SSLError, OSError, ValueError):
            self.abort()

    def close(self) -> None:
        """With close_notify; what was written goes out."""
        if self._closing:
            return
        self._closing = True
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass  # it is written all the same; the peer's own is not waited for
        self._flush()
        self._below.close()

    def abort(self) -> None:
        self._closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._closing or self._below.is_closing()

    def pause_reading(self) -> None:
        self._reading_paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        self._below.resume_reading()
        asyncio.get_running_loop().call_soon(self._read)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._object
        if name == "cipher":
            return self._object.cipher()
        return self._below.get_extra_info(name, default)


def _choose(hello: bytes, context: ssl.SSLContext) -> ssl.SSLContext | None:
    """The context for this client; None while its ClientHello is not whole.

    RFC 8737 3: an authority asks for the name, and offers acme-tls/1 alone. Everybody else gets what is always served.
    """
    try:
        found = parse(hello)
    except SyntaxProblem:
        return context  # OpenSSL says what is wrong
    if found is None:
        return None
    if found.protocols != (ACME_TLS.encode(),):
        return context
    challenges: Mapping[str, ssl.SSLContext] = getattr(context, "challenges", {})
    return challenges.get(found.server_name or "", context)
