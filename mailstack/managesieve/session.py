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
from mailstack.sieve.problem import SieveProblem
from mailstack.store.errors import (
    NoSuchScript,
    ScriptExists,
    ScriptInUse,
    ScriptTooLarge,
    StoreProblem,
    TooManyScripts,
)
from mailstack.store.sieve.scripts import Scripts
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.managesieve import Command, Framer, TooLarge, reply

if TYPE_CHECKING:
    from mailstack.managesieve.connection import Connection

log = get_logger()
# RFC 5804 1.3: causes from below, and the codes that say them.
ANSWERS: dict[type[StoreProblem], tuple[str | None, str]] = {
    NoSuchScript: ("NONEXISTENT", "There is no script of that name"),
    ScriptExists: ("ALREADYEXISTS", "There is a script of that name"),
    ScriptInUse: ("ACTIVE", "The active script can't be deleted"),
    ScriptTooLarge: ("QUOTA/MAXSIZE", "The script is too large"),
    TooManyScripts: ("QUOTA/MAXSCRIPTS", "There are as many scripts as there may be"),
}


class State(enum.Flag):
    """RFC 5804 1.4."""

    BEFORE = enum.auto()
    LOGGED_IN = enum.auto()
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SieveServices(DoorServices):
    """With the users' scripts."""

    scripts: Scripts


class Refused(Exception):
    """A command that is answered NO."""

    def __init__(self, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.code = code


@dataclass(frozen=True, slots=True)
class Handler:
    """What a command may do is data."""

    run: Callable[[Session, Command], Awaitable[None]]
    states: State


class Session:
    """The commands of one connection, one after another. Each writes its own answer."""

    __slots__ = ("bad_commands", "connection", "framer", "id", "record", "services", "state")

    def __init__(self, services: SieveServices, connection: Connection, framer: Framer) -> None:
        self.services = services
        self.connection = connection
        self.framer = framer
        self.id = f"{services.randomness.getrandbits(40):010x}"
        self.state = State.BEFORE
        self.record: AccountRecord | None = None
        self.bad_commands = 0

    @property
    def folder(self) -> str:
        """Of the account's scripts."""
        assert self.record is not None
        return self.record.folder

    def ok(self, words: str = "", code: str | None = None, value: str | bytes | None = None) -> None:
        self.connection.write(reply("OK", code, words, value))

    def no(self, words: str, code: str | None = None) -> None:
        self.connection.write(reply("NO", code, words))

    async def run(self, handlers: dict[str, Handler]) -> None:
        """Run the next command; its answer is written. Raises EOFError when none is whole."""
        verb = "?"
        try:
            command = self.framer.next()
            verb = command.verb
            handler = handlers.get(verb)
            if handler is None or not self.state & handler.states:
                raise SyntaxProblem("not possible now" if handler is not None else "not a command")
            await handler.run(self, command)
        except TooLarge:
            self.no("The script is too large", "QUOTA/MAXSIZE")
        except SyntaxProblem as problem:
            self.bad_commands += 1
            self.no(problem.reason)
        except Refused as refused:
            self.no(refused.words, refused.code)
        except SieveProblem as problem:
            self.no(f"line {problem.line}: {problem.reason}"[:800])
        except OverflowError:
            self.connection.bye("Too much at once")
        except StoreProblem as problem:
            self._failed(verb, problem)
        except (ConnectionError, EOFError):
            raise
        except Exception:
            log.exception("managesieve.command_failed", session=self.id, command=verb)
            self.no("Something went wrong on the server", "TRYLATER")

    def _failed(self, verb: str, problem: StoreProblem) -> None:
        found = ANSWERS.get(type(problem))
        if found is None:
            log.error("managesieve.store_failed", session=self.id, command=verb, problem=problem.detail)
            found = "TRYLATER", "The server's disk failed; try again later"
        self.no(found[1], found[0])

    async def log_in(self, login: Login) -> None:
        """After the proof. Raises Refused, StoreProblem."""
        directory, record = self.services.directory, login.account
        revocations = directory.revocations(record.address)
        await self.services.mailboxes.account(directory.folder(record))
        if self.state is State.ENDED or directory.revocations(record.address) != revocations:
            # end_sessions() did not know this session yet.
            raise Refused("Log in again")
        self.record, self.state = record, State.LOGGED_IN
        self.connection.logged_in(record.address)
        self.framer.limit = self.services.scripts.limits.size
        peer, tls = self.connection.peer, self.connection.secure
        log.info("managesieve.login", session=self.id, account=record.address, peer=peer, tls=tls)

    def log_out(self) -> None:
        """UNAUTHENTICATE: as it was after the greeting."""
        self.record, self.state = None, State.BEFORE
        self.framer.limit = Framer().limit
        self.connection.logged_out()

    def close(self) -> None:
        """The connection is gone."""
        self.state = State.ENDED
