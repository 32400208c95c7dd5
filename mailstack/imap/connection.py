"""Bytes in, bytes out: an asyncio.Protocol that holds no task and no buffer while its client is silent."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from mailstack.imap.answers import bad
from mailstack.imap.capability import capabilities
from mailstack.imap.session import Session, State
from mailstack.imap.table import HANDLERS
from mailstack.log import get_logger
from mailstack.net.proxied import peer_of
from mailstack.net.tls import TlsEnd
from mailstack.net.tls_layer import TlsLayer
from mailstack.policy.login import Channel, is_loopback
from mailstack.store.content import Content
from mailstack.store.users.scope import Protocol
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.framing import CommandLine, Framer, LiteralData, NeedLiteral, Violation, is_message
from mailstack.wire.imap.grammar import parse
from mailstack.wire.imap.scanner import CommandProblem
from mailstack.wire.imap.search_grammar import BadCharset
from mailstack.wire.proxy import Ends

if TYPE_CHECKING:
    from mailstack.imap.server import ImapServer

log = get_logger()

LINE_BEFORE_LOGIN = 16384  # RFC 7628 and others: a token in one line
LITERALS_BEFORE_LOGIN = 65536
LINE_AFTER_LOGIN = 65536
LITERALS_AFTER_LOGIN = 1 << 20
WRITE_AT = 65536  # octets of answers that are gathered before they are written
PENDING_LIMIT = 1 << 20  # octets of input that may wait
INFLATE_AT_ONCE = 65536
APPEND_AT_ONCE = 100  # messages of one MULTIAPPEND
APPEND_IN_MEMORY = 512 * 1024  # octets of them that are not put into files
EVENTS_AT_ONCE = 32  # commands, or pieces of input, between two looks at the other clients
BAD_LIMIT = 20
LOGIN_SECONDS = 180.0
IDLE_SECONDS = 1860.0  # RFC 9051 5.4: at least 30 minutes
DEAF_SECONDS = 600.0  # for a client that reads nothing of what it asked for


class Connection(asyncio.Protocol):
    """One client's connection. The session decides; this file moves bytes."""

    __slots__ = (
        "_beyond",
        "_close_after",
        "_compress",
        "_compressed",
        "_content",
        "_counted",
        "_drained",
        "_inflate",
        "_inflated_more",
        "_more",
        "_out",
        "_out_size",
        "_reading_paused",
        "_timer",
        "_tls",
        "_upgrading",
        "_write_paused",
        "account",
        "closing",
        "current_tag",
        "ends",
        "framer",
        "from_loopback",
        "last_heard",
        "peer",
        "secure",
        "server",
        "session",
        "task",
        "transport",
    )  # fmt: skip

    def __init__(self, server: ImapServer, *, secure: bool) -> None:
        self.server = server
        self.secure = secure
        self.framer = Framer(line_limit=LINE_BEFORE_LOGIN, literal_limit=LITERALS_BEFORE_LOGIN)
        self.transport: asyncio.Transport
        self.session: Session | None = None
        self.closing = False
        self.peer = ""
        self.ends: Ends | None = None  # where a proxy said so
        self.account: str | None = None
        self.from_loopback = False
        self.last_heard = 0.0
        self.task: asyncio.Task[None] | None = None
        self._tls: TlsEnd | None = None  # until the login
        self._out: list[bytes] = []
        self._out_size = 0
        self._write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._compress: zlib._Compress | None = None
        self._inflate: zlib._Decompress | None = None
        self._inflated_more = False
        self._compressed = b""
        self._beyond: bytes | None = None  # what came behind the end of the deflate stream
        self._reading_paused = False
        self._upgrading = False
        self._counted = False
        self._content: Content | None = None
        self._more: asyncio.Future[None] | None = None
        self.current_tag = b""
        self._close_after = False

    # asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        if self._upgrading:
            self._upgrading = False
            return
        self.peer = peer_of(transport, self.ends)
        self.from_loopback = is_loopback(self.peer)
        self.last_heard = asyncio.get_running_loop().time()
        crowd = self.server.admit(self)
        if crowd is not None:
            self.transport.write(f"* BYE {crowd}\r\n".encode())
            transport.close()
            self.closing = True
            return
        self._counted = True
        self._tls = TlsEnd.of(transport)
        self.session = Session(self.server.services, self)
        shown = capabilities(self.session, HANDLERS)
        self.write(f"* OK [CAPABILITY {' '.join(shown)}] {self.server.services.hostname} is ready\r\n".encode())
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.last_heard = asyncio.get_running_loop().time()
        if self._inflate is not None:
            self._compressed += data
        elif self._beyond is not None:
            self._beyond += data
        else:
            self.framer.feed(data)
        if self.framer.buffered + len(self._compressed) > PENDING_LIMIT and not self._reading_paused:
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
        if self._more is not None and not self._more.done():
            self._more.set_exception(ConnectionResetError())
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError())
        if self.task is not None and self.session is not None and self.session.state is not State.LOGOUT:
            pass  # a command that is under way is finished; what it promised is kept
        elif self.session is not None:
            self.session.close()
        self._forget_content()
        if self._counted:
            self._counted = False
            self.server.left(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.last_heard = asyncio.get_running_loop().time()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self.task is None and self.session is not None:
            self.session.on_change()  # what happened while nothing was read

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
        if self.closing and self.transport.is_closing():
            return
        if self._compress is None and large:
            self.transport.writelines(pieces)  # not copied together
            return
        data = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        if self._compress is not None:
            data = self._compress.compress(data) + self._compress.flush(zlib.Z_SYNC_FLUSH)
        self.transport.write(data)

    @property
    def takes_more(self) -> bool:
        """Whether the client reads what it is sent."""
        return not self.closing and not self._write_paused

    async def drain(self) -> None:
        """Send if there is much, and wait while the client does not read. Raises ConnectionError when it is gone."""
        if self._out_size >= WRITE_AT:
            self.flush()
        if self.closing and self.transport.is_closing():
            raise ConnectionResetError
        if self._write_paused:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained
            if self.session is not None and self.session.closed_to():
                raise ConnectionResetError  # what is left of the answer is no longer the client's to read

    def close_soon(self) -> None:
        """Send what was gathered, then close."""
        self.flush()
        self.closing = True
        self.transport.close()

    @property
    def shaking(self) -> bool:
        return self._upgrading

    def abort(self) -> None:
        self.closing = True
        self.transport.abort()

    def bye(self, words: str) -> None:
        """End the session from our side."""
        if not self.closing:
            self.write(f"* BYE {words}\r\n".encode())
            self.close_soon()

    # Work -----------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Run commands while there is input."""
        session = self.session
        assert session is not None
        steps = 0
        try:
            while not self.closing:
                steps += 1
                if steps % EVENTS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                event = self.framer.next_event()
                if event is None:
                    if self._inflate_some():
                        continue
                    if not session.has_more_news:
                        break
                    if session.watch is not None and session.watch.has_news:
                        await session.watch.tell()
                    await session.tell_contexts()
                    await self.drain()
                    continue
                await self._handle(session, event)
                if session.bad_commands > BAD_LIMIT:
                    self.bye("Too many bad commands")
                await self.drain()
            self.flush()
        except ConnectionError:
            self.closing = True
        except Exception:
            log.exception("imap.connection_failed", session=session.id)
            self.abort()
        finally:
            self.task = None
            if self.closing:
                session.close()
            elif self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()

    def work_soon(self) -> None:
        """There is something to tell; a command that is under way ends first."""
        if self.task is None and not self.closing and not self._upgrading:
            self.task = asyncio.get_running_loop().create_task(self._work())

    def _inflate_some(self) -> bool:
        """Inflate a bounded piece of what waits. False when there is nothing to read in it."""
        if self._beyond is not None:
            self.bye("The deflate stream ended")
            return False
        if self._inflate is None or not (self._compressed or self._inflated_more):
            return False
        try:
            data = self._inflate.decompress(self._compressed, INFLATE_AT_ONCE)
        except zlib.error:
            self.bye("Not a deflate stream")
            return False
        self._compressed = self._inflate.unconsumed_tail
        # A full piece: zlib may hold more, although it has taken all input.
        self._inflated_more = len(data) == INFLATE_AT_ONCE
        self.framer.feed(data)
        if self._inflate.eof:
            # What was in it is answered first: UNAUTHENTICATE ends it rightly (RFC 8437 4.1).
            self._beyond = self._inflate.unused_data
            self._inflate = None
            return True
        return bool(data)

    def _end_compression(self) -> None:
        """What the client sends from here on is plain, as is what it is told."""
        self.flush()
        self._compress = self._inflate = None
        rest = self._compressed + (self._beyond or b"")
        self._compressed, self._beyond = b"", None
        self._inflated_more = False
        if rest:
            self.framer.feed(rest)

    async def _handle(self, session: Session, event: NeedLiteral | LiteralData | CommandLine | Violation) -> None:
        match event:
            case CommandLine():
                await self._command(session, event)
            case LiteralData(data, last):
                if self._content is not None:
                    try:
                        self._content.write(data)
                    except OSError as problem:
                        log.error("imap.spool_failed", session=session.id, problem=str(problem))
                        self._forget_content()
                        session.tagged(b"*", b"BYE", "The server's disk is full")
                        self.close_soon()
                        return
                if last:
                    if self._content is not None:
                        session.contents.append(self._content)
                    self._content = None
            case NeedLiteral():
                self._literal(session, event)
            case Violation(reason, tag):
                session.forget_contents()
                session.bad_commands += 1
                session.tagged(tag or b"*", b"BAD", reason)

    def _literal(self, session: Session, need: NeedLiteral) -> None:
        tag = need.prefix.partition(b" ")[0] or b"*"
        if session.idling is not None:
            self.framer.refuse()
            session.tagged(b"*", b"BAD", "no literal expected")
            return
        if session.state & (State.AUTHENTICATED | State.SELECTED) and is_message(need):
            if need.size > session.services.message_size:
                self.framer.refuse()
                session.forget_contents()
                session.tagged(tag, b"NO", "The message is too large", "TOOBIG")
                return
            if len(session.contents) >= APPEND_AT_ONCE:
                self.framer.refuse()
                session.forget_contents()
                session.tagged(tag, b"NO", "Too many messages in one command", "LIMIT")
                return
            self.framer.accept(stream=True)
            held = sum(content.size for content in session.contents if content.descriptor is None)
            self._content = Content(session.services.spool, max(0, APPEND_IN_MEMORY - held))
        elif self.framer.fits(need.size):
            self.framer.accept()
        else:
            self.framer.refuse()
            session.forget_contents()
            session.bad_commands += 1
            session.tagged(tag, b"NO" if session.account else b"BAD", "The literal is too large", "TOOBIG")
            return
        if need.synchronising:
            self.write(b"+ OK\r\n")
            self.flush()

    async def _command(self, session: Session, line: CommandLine) -> None:
        if session.idling is not None:
            tag, session.idling = session.idling, None
            first = line.parts[0]
            if isinstance(first, bytes) and first.strip().upper() == b"DONE":
                session.flush_updates(may_expunge=True)
                session.tagged(tag, b"OK", "IDLE done")
            else:
                session.bad_commands += 1
                session.tagged(tag, b"BAD", "DONE expected")
            return
        if line.parts == (b"",):
            session.bad_commands += 1
            session.tagged(b"*", b"BAD", "empty line")
            return
        try:
            tag, command = parse(line, utf8=session.utf8)
        except CommandProblem as problem:
            session.bad_commands += 1
            session.forget_contents()
            if isinstance(problem.cause, BadCharset) and session.selected is not None:
                session.selected.search_failed(saves=problem.cause.saves)
                session.tagged(problem.tag or b"*", b"NO", problem.reason, "BADCHARSET (UTF-8 US-ASCII)")
                return
            session.tagged(problem.tag or b"*", b"BAD", problem.reason)
            return
        if isinstance(command, c.StartTls):
            await self._start_tls(session, tag)
            return
        self.current_tag = tag
        await session.run(tag, command, HANDLERS)
        if self._close_after:
            self.close_soon()
            return
        if self._compress is not None and not session.compressing:
            self._end_compression()
        if isinstance(command, c.Compress) and session.compressing and self._compress is None:
            self.flush()
            self._compress = zlib.compressobj(6, zlib.DEFLATED, -15, 7)
            self._inflate = zlib.decompressobj(-15)
            self._compressed = self.framer.take_buffered()

    def closing_after_answer(self) -> None:
        """LOGOUT: the tagged answer goes out first."""
        self._close_after = True

    async def ask(self, challenge: bytes) -> bytes:
        """A SASL challenge and the client's next line."""
        session = self.session
        assert session is not None
        self.write(b"+ " + challenge + b"\r\n")
        self.flush()
        while True:
            event = self.framer.next_event()
            if isinstance(event, CommandLine):
                first = event.parts[0]
                return first if isinstance(first, bytes) else b""
            if isinstance(event, NeedLiteral):
                self.framer.refuse()
                raise bad("no literal expected")
            if isinstance(event, Violation):
                raise bad(event.reason)
            if event is None:
                self._more = asyncio.get_running_loop().create_future()
                try:
                    await asyncio.wait_for(self._more, 60)
                except TimeoutError:
                    raise ConnectionResetError from None
                finally:
                    self._more = None

    def channel(self) -> Channel:
        """What a login may know of this connection."""
        assert self.session is not None
        private = self.secure or (self.session.services.allow_plaintext and self.from_loopback)
        bindings = self._tls.bindings() if self._tls is not None else {}
        certificate = self._tls.certificate() if self._tls is not None else None
        return Channel(self.peer, private, Protocol.IMAP, certificate=certificate, bindings=bindings)

    def logged_in(self, account: str) -> None:
        self._tls = None
        self.framer.line_limit = LINE_AFTER_LOGIN
        self.framer.literal_limit = LITERALS_AFTER_LOGIN
        self.server.logged_in(self, account)

    def logged_out(self) -> None:
        """UNAUTHENTICATE: the limits of strangers hold again."""
        self.framer.line_limit = LINE_BEFORE_LOGIN
        self.framer.literal_limit = LITERALS_BEFORE_LOGIN
        self.server.logged_out(self)

    async def _start_tls(self, session: Session, tag: bytes) -> None:
        context = session.services.tls
        if self.secure or context is None or session.state is not State.NOT_AUTHENTICATED:
            session.tagged(tag, b"BAD", "STARTTLS is not possible now")
            return
        if self.framer.take_buffered():
            # RFC 9051 11.1: what was sent before the handshake is nobody's word.
            log.warning("imap.starttls_injection", session=session.id, peer=self.peer)
            self.abort()
            return
        session.tagged(tag, b"OK", "Begin TLS now")
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
            if self._counted:
                self._counted = False
                self.server.left(self)
            raise ConnectionResetError from None
        self._upgrading = False
        self.transport = transport
        self.secure = True
        self._tls = TlsEnd.of(transport)

    def _forget_content(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None

    def idle_for(self, now: float) -> float:
        """Seconds since the client was heard."""
        return now - self.last_heard

    def overdue(self, now: float) -> bool:
        """Whether the client is silent for too long, be it that it reads nothing of a long answer."""
        if self._write_paused and self.idle_for(now) > DEAF_SECONDS:
            return True
        return self.task is None and self.idle_for(now) > (LOGIN_SECONDS if self.account is None else IDLE_SECONDS)

    @property
    def deaf(self) -> bool:
        """Whether the client does not read what was sent; nothing more is made for it then."""
        return self._write_paused
