"""A POP3 client's connection: lines are commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.door.connection import DoorConnection
from mailstack.message.errors import SyntaxProblem
from mailstack.pop3.commands import HANDLERS
from mailstack.pop3.session import Session, State
from mailstack.store.users.scope import Protocol
from mailstack.wire.pop3 import LINE_LIMIT, LOGIN_LINE_LIMIT, Lines

if TYPE_CHECKING:
    from mailstack.pop3.server import Pop3Server

BAD_LIMIT = 10


class Connection(DoorConnection):
    """The session decides; the class above moves bytes."""

    PROTOCOL = Protocol.POP3
    IDLE_SECONDS = 600.0  # RFC 1939 3: at least ten minutes

    def __init__(self, server: Pop3Server, *, secure: bool) -> None:
        self._lines = Lines()
        super().__init__(server, self._lines, secure=secure)
        self.server = server
        self.session: Session | None = None

    @property
    def who(self) -> Session | None:
        return self.session

    def greet(self) -> None:
        self.session = Session(self.server.services, self)
        self.session.ok(f"{self.server.services.hostname} is ready")

    def refusal(self, words: str) -> bytes:
        return f"-ERR {'' if self.session is not None else '[SYS/TEMP] '}{words}\r\n".encode()

    async def step(self) -> None:
        session = self.session
        assert session is not None
        line = self._lines.next()
        if line is None:
            session.bad_commands += 1
            session.refuse("Line too long")
        else:
            await session.run(line, HANDLERS)
        if session.bad_commands > BAD_LIMIT:
            self.bye("Too many bad commands")

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
                    await self.more()
                    continue
                if line is None:
                    raise SyntaxProblem("too long")
                return line
        finally:
            self._lines.limit = LINE_LIMIT

    @property
    def may_start_tls(self) -> bool:
        session = self.session
        assert session is not None
        return not self.secure and session.services.tls is not None and session.state is State.AUTHORIZATION
