"""A ManageSieve client's connection: commands with strings of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.door.connection import DoorConnection
from mailstack.managesieve.commands import HANDLERS, greet
from mailstack.managesieve.session import Session, State
from mailstack.message.errors import SyntaxProblem
from mailstack.store.users.scope import Protocol
from mailstack.wire.managesieve import Framer, quoted, reply

if TYPE_CHECKING:
    from mailstack.managesieve.server import SieveServer

BAD_LIMIT = 10


class Connection(DoorConnection):
    """The session decides; the class above moves bytes."""

    PROTOCOL = Protocol.MANAGESIEVE
    IDLE_SECONDS = 1800.0  # RFC 5804 1.2: no less than 30 minutes

    def __init__(self, server: SieveServer, *, secure: bool) -> None:
        self._framer = Framer()
        super().__init__(server, self._framer, secure=secure)
        self.server = server
        self.session: Session | None = None

    @property
    def who(self) -> Session | None:
        return self.session

    def greet(self) -> None:
        self.session = Session(self.server.services, self, self._framer)
        greet(self.session, f"{self.server.services.hostname} is ready")

    def refusal(self, words: str) -> bytes:
        return reply("BYE", None if self.session is not None else "TRYLATER", words)

    async def step(self) -> None:
        session = self.session
        assert session is not None
        await session.run(HANDLERS)
        if session.bad_commands > BAD_LIMIT:
            self.bye("Too many bad commands")

    async def ask(self, challenge: bytes) -> bytes:
        """A SASL challenge and the client's next string (RFC 5804 2.1)."""
        self.write(quoted(challenge) + b"\r\n")
        while True:
            try:
                command = self._framer.next()
            except EOFError:
                await self.more()
                continue
            except OverflowError:
                raise SyntaxProblem("too long") from None
            if command.verb:
                raise SyntaxProblem("a string is needed")
            return command.octets(0)

    @property
    def may_start_tls(self) -> bool:
        session = self.session
        assert session is not None
        return not self.secure and session.services.tls is not None and session.state is State.BEFORE
