"""An IMAP client's connection: commands with literals, which may come compressed."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from mailstack.door.connection import DoorConnection
from mailstack.imap.answers import bad
from mailstack.imap.capability import capabilities
from mailstack.imap.incoming import Incoming, NotDeflated
from mailstack.imap.session import Session, State
from mailstack.imap.table import HANDLERS
from mailstack.log import get_logger
from mailstack.store.content import Content
from mailstack.store.users.scope import Protocol
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.framing import CommandLine, Framer, LiteralData, NeedLiteral, Violation, is_message
from mailstack.wire.imap.grammar import parse
from mailstack.wire.imap.scanner import CommandProblem
from mailstack.wire.imap.search_grammar import BadCharset

if TYPE_CHECKING:
    from mailstack.imap.server import ImapServer

log = get_logger()

LINE_BEFORE_LOGIN = 16384  # RFC 7628 and others: a token in one line
LITERALS_BEFORE_LOGIN = 65536
LINE_AFTER_LOGIN = 65536
LITERALS_AFTER_LOGIN = 1 << 20
APPEND_AT_ONCE = 100  # messages of one MULTIAPPEND
APPEND_IN_MEMORY = 512 * 1024  # octets of them that are not put into files
BAD_LIMIT = 20
DEAF_SECONDS = 600.0  # for a client that reads nothing of what it asked for


class Connection(DoorConnection):
    """The session decides; the class above moves bytes."""

    PROTOCOL = Protocol.IMAP
    IDLE_SECONDS = 1860.0  # RFC 9051 5.4: at least 30 minutes
    PENDING_LIMIT = 1 << 20
    SPEAKS_UNASKED = True

    __slots__ = ("_compress", "_content", "_incoming", "current_tag", "server", "session")

    def __init__(self, server: ImapServer, *, secure: bool) -> None:
        self._incoming = Incoming(Framer(line_limit=LINE_BEFORE_LOGIN, literal_limit=LITERALS_BEFORE_LOGIN))
        super().__init__(server, self._incoming, secure=secure)
        self.server = server
        self.session: Session | None = None
        self._compress: zlib._Compress | None = None
        self._content: Content | None = None
        self.current_tag = b""

    @property
    def who(self) -> Session | None:
        return self.session

    @property
    def framer(self) -> Framer:
        return self._incoming.framer

    def greet(self) -> None:
        self.session = Session(self.server.services, self)
        shown = capabilities(self.session, HANDLERS)
        self.write(f"* OK [CAPABILITY {' '.join(shown)}] {self.server.services.hostname} is ready\r\n".encode())

    def refusal(self, words: str) -> bytes:
        return f"* BYE {words}\r\n".encode()

    def connection_lost(self, problem: Exception | None) -> None:
        super().connection_lost(problem)
        if self.closing:
            self._forget_content()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.task is None and self.session is not None:
            self.session.on_change()  # what happened while nothing was read

    # Writing --------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self._compress is not None:
            data = self._compress.compress(data) + self._compress.flush(zlib.Z_SYNC_FLUSH)
        super().send(data)

    def send_large(self, pieces: list[bytes]) -> None:
        if self._compress is None:
            super().send_large(pieces)
        else:
            self.send(b"".join(pieces))

    @property
    def takes_more(self) -> bool:
        """Whether the client reads what it is sent."""
        return not self.closing and not self._write_paused

    @property
    def deaf(self) -> bool:
        """Whether the client does not read what was sent; nothing more is made for it then."""
        return self._write_paused

    async def drain(self) -> None:
        """As above, and ConnectionResetError where the answer is no longer the client's to read."""
        waits = self._write_paused
        await super().drain()
        if waits and self.session is not None and self.session.closed_to():
            raise ConnectionResetError

    # Work -----------------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        session = self.session
        assert session is not None
        event = self.framer.next_event()
        if event is not None:
            await self._handle(session, event)
            if session.bad_commands > BAD_LIMIT:
                self.bye("Too many bad commands")
        elif not self._inflates():
            await self._tell_news(session)

    def _inflates(self) -> bool:
        """Whether there is more to read now."""
        try:
            return self._incoming.inflate()
        except NotDeflated as problem:
            self.bye(str(problem))
            return True

    async def _tell_news(self, session: Session) -> None:
        """What takes a while to tell. Raises EOFError where there is nothing."""
        if not session.has_more_news:
            raise EOFError
        if session.watch is not None and session.watch.has_news:
            await session.watch.tell()
        await session.tell_contexts()

    def work_soon(self) -> None:
        """There is something to tell; a command that is under way ends first."""
        if self.task is None and not self.closing and not self._upgrading:
            self.task = asyncio.get_running_loop().create_task(self._work())

    def _end_compression(self) -> None:
        """What the client sends from here on is plain, as is what it is told."""
        self.flush()
        self._compress = None
        self._incoming.end_inflating()

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
                        self.bye()
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
            return
        if self._compress is not None and not session.compressing:
            self._end_compression()
        if isinstance(command, c.Compress) and session.compressing and self._compress is None:
            self.flush()
            self._compress = zlib.compressobj(6, zlib.DEFLATED, -15, 7)
            self._incoming.begin_inflating()

    async def _start_tls(self, session: Session, tag: bytes) -> None:
        context = session.services.tls
        if self.secure or context is None or session.state is not State.NOT_AUTHENTICATED:
            session.tagged(tag, b"BAD", "STARTTLS is not possible now")
            return
        await self.start_tls(context, tag + b" OK Begin TLS now\r\n")

    async def ask(self, challenge: bytes) -> bytes:
        """A SASL challenge and the client's next line."""
        self.write(b"+ " + challenge + b"\r\n")
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
                await self.more()

    def logged_in(self, account: str) -> None:
        super().logged_in(account)
        self.framer.line_limit = LINE_AFTER_LOGIN
        self.framer.literal_limit = LITERALS_AFTER_LOGIN

    def logged_out(self) -> None:
        """UNAUTHENTICATE: the limits of strangers hold again."""
        super().logged_out()
        self.framer.line_limit = LINE_BEFORE_LOGIN
        self.framer.literal_limit = LITERALS_BEFORE_LOGIN

    def _forget_content(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None

    def overdue(self, now: float) -> bool:
        return super().overdue(now) or (self._write_paused and now - self.last_heard > DEAF_SECONDS)
