"""Bytes in, bytes out: an asyncio.Protocol that holds no task while its client is silent."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.net.proxied import peer_of
from mailstack.net.tls import TlsEnd
from mailstack.policy.login import Channel, is_loopback
from mailstack.pop3.commands import HANDLERS
from mailstack.pop3.session import Session, State
from mailstack.store.users.scope import Protocol
from mailstack.wire.pop3 import LINE_LIMIT, LOGIN_LINE_LIMIT, Lines
from mailstack.wire.proxy import Ends

if TYPE_CHECKING:
    from mailstack.pop3.server import Pop3Server

log = get_logger()
WRITE_AT = 65536  # octets of answers that are gathered before they are written
PENDING_LIMIT = 65536  # octets of input that may wait
COMMANDS_AT_ONCE = 32  # between two looks at the other clients
BAD_LIMIT = 10
LOGIN_SECONDS = 180.0
IDLE_SECONDS = 600.0  # RFC 1939 3: at least ten minutes
ANSWER_SECONDS = 60.0  # for the client's part of a login


class Connection(asyncio.Protocol):
    """One client's connection. The session decides; this file moves bytes."""

    def __init__(self, server: Pop3Server, *, secure: bool) -> None:
        self.server = server
        self.secure = secure
        self.transport: asyncio.Transport
        self.session: Session | None = None
        self.peer = ""
        self.ends: Ends | None = None  # where a proxy said so
        self.account: str | None = None
        self.closing = False
        self.last_heard = 0.0
        self.task: asyncio.Task[None] | None = None
        self._lines = Lines()
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

    # asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self._upgrading:
            return
        self.peer = peer_of(transport, self.ends)
        self.last_heard = asyncio.get_running_loop().time()
        crowd = self.server.admit(self)
        if crowd is not None:
            self.transport.write(f"-ERR [SYS/TEMP] {crowd}\r\n".encode())
            self.closing = True
            transport.close()
            return
        self._counted = True
        self._tls = TlsEnd.of(transport)
        self.session = Session(self.server.services, self)
        self.session.ok(f"{self.server.services.hostname} is ready")
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.last_heard = asyncio.get_running_loop().time()
        self._lines.feed(data)
        if self._lines.buffered > PENDING_LIMIT and not self._reading_paused:
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
        if self.task is None and self.session is not None:
            self.session.close()  # else the command under way is finished first
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
            self.server.left(self)

    # Writing --------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def flush(self) -> None:
        if self._out and not self.transport.is_closing():
            self.transport.write(b"".join(self._out))
        self._out = []
        self._out_size = 0

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

    def abort(self) -> None:
        self.closing = True
        self.transport.abort()

    def bye(self, words: str | None = None) -> None:
        """End the session from our side. With words only where the client waits for an answer."""
        if self.closing:
            return
        if words is not None:
            self.write(f"-ERR {words}\r\n".encode())
        self.flush()
        self.closing = True
        self.transport.close()

    def closing_after_answer(self) -> None:
        self._close_after = True

    # Work -----------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Run commands while there is input."""
        session = self.session
        assert session is not None
        steps = 0
        try:
            while not self.closing:
                try:
                    line = self._lines.next()
                except EOFError:
                    break
                await self._command(session, line)
                steps += 1
                if steps % COMMANDS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                await self.drain()
            self.flush()
        except ConnectionError:
            self.closing = True
        except Exception:
            log.exception("pop3.connection_failed", session=session.id)
            self.abort()
        finally:
            self.task = None
            if self.closing:
                session.close()
            elif self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()

    async def _command(self, session: Session, line: bytes | None) -> None:
        if line is None:
            session.bad_commands += 1
            session.refuse("Line too long")
        else:
            await session.run(line, HANDLERS)
        if session.bad_commands > BAD_LIMIT:
            self.bye("Too many bad commands")
        elif self._close_after:
            self.bye()

    async def ask(self, challenge: bytes) -> bytes:
        """A SASL challenge and the client's next line."""
        self.write(b"+ " + challenge + b"\r\n")
        self.flush()
        self._lines.limit = LOGIN_LINE_LIMIT
        try:
            while True:
                try:
                    line = self._lines.next()
                except EOFError:
                    await self._input()
                    continue
                if line is None:
                    raise SyntaxProblem("too long")
                return line
        finally:
            self._lines.limit = LINE_LIMIT

    async def _input(self) -> None:
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
        assert self.session is not None
        private = self.secure or (self.session.services.allow_plaintext and is_loopback(self.peer))
        bindings = self._tls.bindings() if self._tls is not None else {}
        return Channel(self.peer, private, Protocol.POP3, bindings=bindings)

    def logged_in(self, account: str) -> None:
        self._tls = None
        self.server.logged_in(self, account)

    @property
    def may_start_tls(self) -> bool:
        session = self.session
        assert session is not None
        return not self.secure and session.services.tls is not None and session.state is State.AUTHORIZATION

    async def start_tls(self, session: Session) -> None:
        """Answer, and TLS from here on. Raises ConnectionResetError when the handshake fails."""
        context = session.services.tls
        assert context is not None
        if self._lines.take():
            # RFC 2595 4: what was sent before the handshake is nobody's word.
            log.warning("pop3.stls_injection", session=session.id, peer=self.peer)
            self.abort()
            raise ConnectionResetError
        session.ok("Begin TLS now")
        self.flush()
        self._upgrading = True
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=30
            )
        except (OSError, ssl.SSLError, TimeoutError):
            transport = None
        self._upgrading = False
        if transport is None:
            self.closing = True
            self.transport.abort()
            self._leave()
            raise ConnectionResetError
        self.transport = transport
        self.secure = True
        self._tls = TlsEnd.of(transport)

    def overdue(self, now: float) -> bool:
        """Whether the client is silent for too long, be it that it reads nothing of a long answer."""
        limit = LOGIN_SECONDS if self.account is None else IDLE_SECONDS
        return (self.task is None or self._write_paused) and now - self.last_heard > limit
