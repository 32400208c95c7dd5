"""Bytes in, bytes out: an asyncio.Protocol that holds no task while its client is silent."""

from __future__ import annotations

import abc
import asyncio
import ssl
from typing import Any, ClassVar, Protocol

from mailstack.door.server import DoorServer
from mailstack.log import get_logger
from mailstack.net.proxied import peer_of
from mailstack.net.tls import TlsEnd
from mailstack.net.tls_layer import TlsLayer
from mailstack.policy.login import Channel, is_loopback
from mailstack.store.users import scope
from mailstack.wire.proxy import Ends

log = get_logger()
WRITE_AT = 65536  # octets of answers that are gathered before they are written
COMMANDS_AT_ONCE = 32  # between two looks at the other clients
LOGIN_SECONDS = 180.0
ANSWER_SECONDS = 60.0  # for the client's part of a login


class Input(Protocol):
    """What came and was not read yet; the subclass reads commands from it."""

    @property
    def buffered(self) -> int:
        """Octets."""

    def feed(self, data: bytes) -> None: ...

    def take(self) -> bytes:
        """All of it, which is forgotten."""


class Session(Protocol):
    """What the connection knows of its session."""

    id: str

    def close(self) -> None:
        """The connection is gone."""


class DoorConnection(asyncio.Protocol, abc.ABC):
    """One client's connection. The session decides; this file moves bytes. A subclass knows the words of its protocol."""

    PROTOCOL: ClassVar[scope.Protocol]
    IDLE_SECONDS: ClassVar[float]
    PENDING_LIMIT: ClassVar[int] = 65536  # octets of input that may wait
    SPEAKS_UNASKED: ClassVar[bool] = False  # whether the protocol has words for an end that no command asked for

    __slots__ = (
        "_close_after",
        "_counted",
        "_drained",
        "_input",
        "_more",
        "_out",
        "_out_size",
        "_reading_paused",
        "_tls",
        "_upgrading",
        "_write_paused",
        "account",
        "closing",
        "door",
        "ends",
        "last_heard",
        "peer",
        "secure",
        "task",
        "transport",
    )  # fmt: skip

    def __init__(self, server: DoorServer[Any], waiting: Input, *, secure: bool) -> None:
        self.door = server
        self.secure = secure
        self.transport: asyncio.Transport
        self.peer = ""
        self.ends: Ends | None = None  # where a proxy said so
        self.account: str | None = None
        self.closing = False
        self.last_heard = 0.0
        self.task: asyncio.Task[None] | None = None
        self._input = waiting
        self._out: list[bytes] = []
        self._out_size = 0
        self._write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._more: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._upgrading = False
        self._counted = False
        self._close_after = False
        self._tls: TlsEnd | None = None  # until the login

    # The subclass's part --------------------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def who(self) -> Session | None:
        """The session, once there is one."""

    @abc.abstractmethod
    def greet(self) -> None:
        """Make the session, and greet."""

    @abc.abstractmethod
    def refusal(self, words: str) -> bytes:
        """How the protocol says no to the whole connection."""

    @abc.abstractmethod
    async def step(self) -> None:
        """Run one command. Raises EOFError when none has come as a whole."""

    # asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.peer = peer_of(transport, self.ends)
        self.last_heard = asyncio.get_running_loop().time()
        crowd = self.door.admit(self)
        if crowd is not None:
            self.transport.write(self.refusal(crowd))
            self.closing = True
            transport.close()
            return
        self._counted = True
        self._tls = TlsEnd.of(transport)
        self.greet()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.last_heard = asyncio.get_running_loop().time()
        self._input.feed(data)
        if self._input.buffered > self.PENDING_LIMIT and not self._reading_paused and self.task is not None:
            self._reading_paused = True
            self.transport.pause_reading()
        if self._more is not None:
            if not self._more.done():
                self._more.set_result(None)
        elif self.task is None and not self._upgrading:
            self.task = asyncio.get_running_loop().create_task(self._work())

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, problem: Exception | None) -> None:
        if self._upgrading:
            return
        self.closing = True
        for waiting in (self._more, self._drained):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionResetError())
        if self.task is None and self.who is not None:
            self.who.close()  # else the command under way is finished first
        self._leave()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.last_heard = asyncio.get_running_loop().time()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _leave(self) -> None:
        if self._counted:
            self._counted = False
            self.door.left(self)

    # Writing --------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Gather an answer."""
        self._out.append(data)
        self._out_size += len(data)

    def flush(self) -> None:
        """Send what was gathered."""
        if not self._out:
            return
        pieces, large, self._out, self._out_size = self._out, self._out_size >= WRITE_AT, [], 0
        if self.transport.is_closing():
            return
        if large:
            self.send_large(pieces)
        else:
            self.send(b"".join(pieces))

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def send_large(self, pieces: list[bytes]) -> None:
        """Not copied together."""
        self.transport.writelines(pieces)

    async def drain(self) -> None:
        """Send if there is much, and wait while the client does not read. Raises ConnectionError when it is gone."""
        if self._out_size >= WRITE_AT:
            self.flush()
        if self.transport.is_closing():
            raise ConnectionResetError
        if self._write_paused:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    @property
    def shaking(self) -> bool:
        return self._upgrading

    def abort(self) -> None:
        self.closing = True
        self.transport.abort()

    def bye(self, words: str | None = None) -> None:
        """End the session from our side. With words only where the client waits for an answer."""
        if self.closing:
            return
        if words is not None:
            self.write(self.refusal(words))
        self.flush()
        self.closing = True
        self.transport.close()

    def closing_after_answer(self) -> None:
        self._close_after = True

    # Work -----------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Run commands while there is input."""
        steps = 0
        try:
            while not self.closing:
                try:
                    await self.step()
                except EOFError:
                    break
                if self._close_after:
                    self.bye()
                steps += 1
                if steps % COMMANDS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                await self.drain()
            self.flush()
        except ConnectionError:
            self.closing = True
        except Exception:
            log.exception(f"{self.PROTOCOL}.connection_failed", session=self.who.id if self.who else None)
            self.abort()
        finally:
            self.task = None
            if self.closing:
                if self.who is not None:
                    self.who.close()
            elif self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()

    async def more(self) -> None:
        """Wait for input, in the middle of a login. Raises ConnectionResetError when none comes."""
        self.flush()
        if self.transport.is_closing():
            raise ConnectionResetError
        self._more = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._more, ANSWER_SECONDS)
        except TimeoutError:
            raise ConnectionResetError from None
        finally:
            self._more = None

    def channel(self) -> Channel:
        """What a login may know of this connection."""
        private = self.secure or (self.door.allows_plaintext and is_loopback(self.peer))
        bindings = self._tls.bindings() if self._tls is not None else {}
        certificate = self._tls.certificate() if self._tls is not None else None
        return Channel(self.peer, private, self.PROTOCOL, certificate=certificate, bindings=bindings)

    def logged_in(self, account: str) -> None:
        self._tls = None
        self.door.logged_in(self, account)

    def logged_out(self) -> None:
        """The connection counts again as one that nobody has logged in on."""
        self.door.logged_out(self)
        self._tls = TlsEnd.of(self.transport)

    async def start_tls(self, context: ssl.SSLContext, answer: bytes) -> None:
        """Answer, and TLS from here on. Raises ConnectionResetError when the handshake fails."""
        if self._input.take():
            # RFC 2595 4, RFC 9051 11.1: what was sent before the handshake is nobody's word.
            log.warning(f"{self.PROTOCOL}.starttls_injection", session=self.who.id if self.who else None, peer=self.peer)
            self.abort()
            raise ConnectionResetError
        self.write(answer)
        self.flush()
        self._upgrading = True
        ready: asyncio.Future[TlsLayer] = asyncio.get_running_loop().create_future()
        layer = TlsLayer(self, context, ready)
        self.transport.set_protocol(layer)
        layer.connection_made(self.transport)
        try:
            transport = await ready
        except ConnectionError:
            self._upgrading = False
            self.closing = True
            self.transport.abort()
            self._leave()
            raise ConnectionResetError from None
        self._upgrading = False
        self.transport = transport
        self.secure = True
        self._tls = TlsEnd.of(transport)

    def end(self, words: str) -> None:
        """End the session from our side, with words where they can be said."""
        self.bye(words if self.SPEAKS_UNASKED else None)

    def time_out(self) -> None:
        """The client was silent for too long."""
        self.end("Autologout: idle for too long")
        if self._write_paused:
            self.transport.abort()  # what it does not read would keep the connection open

    def overdue(self, now: float) -> bool:
        """Whether the client is silent for too long, be it that it reads nothing of a long answer."""
        limit = LOGIN_SECONDS if self.account is None else self.IDLE_SECONDS
        return (self.task is None or self._write_paused) and now - self.last_heard > limit
