"""One client: its state, and how a command is run and answered."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.door.services import DoorServices
from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.login import Login
from mailstack.pop3.maildrop import Maildrop
from mailstack.store.errors import MessageGone, StoreProblem
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.pop3 import Command, parse

if TYPE_CHECKING:
    from mailstack.pop3.connection import Connection

log = get_logger()


class State(enum.Flag):
    """RFC 1939 3; UPDATE is part of QUIT."""

    AUTHORIZATION = enum.auto()
    TRANSACTION = enum.auto()
    ENDED = enum.auto()


class Refused(Exception):
    """A command that is answered -ERR, with a response code of RFC 2449 or RFC 3206 where one fits."""

    def __init__(self, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.words = f"[{code}] {words}" if code else words


@dataclass(frozen=True, slots=True)
class Handler:
    """What a command may do is data; `capability` is CAPA's line for it, None where it has none now."""

    run: Callable[[Session, Command], Awaitable[None]]
    states: State
    capability: Callable[[Session], str | None] | str | None = None


class Session:
    """The commands of one connection, one after another. Each writes its own answer."""

    __slots__ = ("bad_commands", "connection", "drop", "id", "read_only", "record", "services", "state", "user")

    def __init__(self, services: DoorServices, connection: Connection) -> None:
        self.services = services
        self.connection = connection
        self.id = f"{services.randomness.getrandbits(40):010x}"
        self.state = State.AUTHORIZATION
        self.user: str | None = None  # of USER, until PASS
        self.record: AccountRecord | None = None
        self.read_only = False
        self.drop: Maildrop | None = None
        self.bad_commands = 0

    @property
    def maildrop(self) -> Maildrop:
        assert self.drop is not None
        return self.drop

    def ok(self, words: str) -> None:
        self.connection.write(f"+OK {words}\r\n".encode())

    def refuse(self, words: str) -> None:
        self.connection.write(f"-ERR {words}\r\n".encode())

    async def run(self, line: bytes, handlers: dict[str, Handler]) -> None:
        """Run a command line; its answer is written."""
        verb = "?"
        try:
            command = parse(line)
            verb = command.verb
            handler = handlers.get(verb)
            if handler is None or not self.state & handler.states:
                raise SyntaxProblem("not possible now" if handler is not None else "not a command")
            await handler.run(self, command)
        except SyntaxProblem as problem:
            self.bad_commands += 1
            self.refuse(problem.reason)
        except Refused as refused:
            self.refuse(refused.words)
        except MessageGone:
            self.refuse("Another program removed that message")
        except StoreProblem as problem:
            log.error("pop3.store_failed", session=self.id, command=verb, problem=problem.detail)
            self.refuse("[SYS/TEMP] The server's disk failed; try again later")
        except ConnectionError:
            raise
        except Exception:
            log.exception("pop3.command_failed", session=self.id, command=verb)
            self.refuse("[SYS/TEMP] Something went wrong on the server")

    async def log_in(self, login: Login) -> None:
        """After the proof: take the maildrop, which is one session's alone (RFC 1939 8). Raises Refused, StoreProblem."""
        server, directory, record = self.connection.server, self.services.directory, login.account
        if not server.take(record.address):
            raise Refused("Another session has this maildrop", "IN-USE")
        try:
            revocations = directory.revocations(record.address)
            drop = await Maildrop.open(await self.services.mailboxes.account(directory.folder(record)))
        except BaseException:
            server.give_back(record.address)
            raise
        if self.state is State.ENDED or directory.revocations(record.address) != revocations:
            # end_sessions() did not know this session yet.
            drop.close()
            server.give_back(record.address)
            raise Refused("Log in again", "AUTH")
        self.drop, self.record, self.state = drop, record, State.TRANSACTION
        self.read_only = login.read_only
        self.connection.logged_in(record.address)
        log.info("pop3.login", session=self.id, account=record.address, peer=self.connection.peer, tls=self.connection.secure)
        self.ok(f"{drop.total()[0]} messages")

    def close(self) -> None:
        """The connection is gone. Without QUIT nothing is removed (RFC 1939 6)."""
        self.state = State.ENDED
        if self.drop is not None and self.record is not None:
            self.drop.close()
            self.drop = None
            self.connection.server.give_back(self.record.address)
