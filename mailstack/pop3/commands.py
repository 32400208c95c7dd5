"""Every command with its states and its line in CAPA."""

import asyncio
from collections.abc import Callable

from mailstack import __version__
from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.login import BANNED, CODES, LOGGED, Denial, Denied, Outcome
from mailstack.pop3.session import Handler, Refused, Session, State
from mailstack.store.errors import StoreProblem
from mailstack.wire.pop3 import Command, Stuffer

log = get_logger()
LINES_AT_ONCE = 1000

ANSWERS: dict[Denial, tuple[str, str | None]] = {
    Denial.WRONG: ("Wrong user name or password", "AUTH"),
    Denial.BUSY: ("The server is busy; try again", "SYS/TEMP"),
    Denial.CANCELLED: ("Cancelled", None),
    Denial.MALFORMED: ("Not what the mechanism says", None),
    Denial.UNKNOWN_MECHANISM: ("That mechanism is not known", None),
    Denial.NO_TLS: ("Start TLS first", None),
    Denial.OTHER_IDENTITY: ("Acting for others is not possible", "AUTH"),
    Denial.BANNED: (f"{BANNED}; try again later", "SYS/TEMP"),
    Denial.EXPIRED: ("That app password has expired; make a new one", "AUTH"),
    Denial.OUT_OF_SCOPE: ("That app password is not for POP3", "AUTH"),
    Denial.NEEDS_DEVICE: (CODES, "AUTH"),
}


# AUTHORIZATION --------------------------------------------------------------------------------------------------------


async def capa(session: Session, command: Command) -> None:
    """RFC 2449 5."""
    command.nothing()
    found = ["RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", f"IMPLEMENTATION mailstack-{__version__}"]
    for handler in HANDLERS.values():
        line = handler.capability(session) if callable(handler.capability) else handler.capability
        if line is not None:
            found.append(line)
    session.ok("Capabilities")
    session.connection.write("".join(f"{line}\r\n" for line in [*found, "."]).encode())


def _user_capability(session: Session) -> str | None:
    """USER stands there only where a password would be taken (RFC 2595 4)."""
    return "USER" if session.connection.channel().private else None


def _mechanisms(session: Session) -> str | None:
    found = session.services.logins.mechanisms(session.connection.channel())
    return " ".join(["SASL", *found]) if found else None


def _stls_capability(session: Session) -> str | None:
    return "STLS" if session.connection.may_start_tls else None


async def user(session: Session, command: Command) -> None:
    """RFC 1939 7. Whether there is such a user, PASS says with the rest."""
    name = command.text()
    if not name:
        raise SyntaxProblem("USER takes a name")
    if not session.connection.channel().private:
        raise Refused("Start TLS first")
    session.user = name
    session.ok("And the password?")


async def pass_(session: Session, command: Command) -> None:
    name, session.user = session.user, None
    if name is None:
        raise SyntaxProblem("USER comes first")
    channel = session.connection.channel()
    await _admit(session, await session.services.logins.password(channel, name, command.text()))


async def auth(session: Session, command: Command) -> None:
    """RFC 5034 4. AUTH alone lists the mechanisms, as clients expect that are older than CAPA."""
    mechanism, _, initial = command.argument.partition(b" ")
    connection, logins = session.connection, session.services.logins
    if not mechanism:
        session.ok("Mechanisms")
        connection.write("".join(f"{name}\r\n" for name in [*logins.mechanisms(connection.channel()), "."]).encode())
        return
    name = mechanism.decode("ascii", "replace").upper()
    await _admit(session, await logins.sasl(name, initial or None, connection.channel(), connection.ask))


async def _admit(session: Session, found: Outcome) -> None:
    if not isinstance(found, Denied):
        await session.log_in(found)
        return
    if found.denial in LOGGED:
        session.bad_commands += 1
        log.warning(
            "pop3.login_failed",
            session=session.id, user=found.user[:100], peer=session.connection.peer, reason=found.reason or None,
        )  # fmt: skip
    raise Refused(*ANSWERS[found.denial])


async def stls(session: Session, command: Command) -> None:
    """RFC 2595 4."""
    command.nothing()
    context = session.services.tls
    if context is None or not session.connection.may_start_tls:
        raise SyntaxProblem("STLS is not possible now")
    session.user = None
    await session.connection.start_tls(context, b"+OK Begin TLS now\r\n")


# TRANSACTION ----------------------------------------------------------------------------------------------------------


async def stat(session: Session, command: Command) -> None:
    command.nothing()
    count, octets = session.maildrop.total()
    session.ok(f"{count} {octets}")


async def list_(session: Session, command: Command) -> None:
    await _listing(session, command, lambda number: str(session.maildrop.size(number)))


async def uidl(session: Session, command: Command) -> None:
    await _listing(session, command, session.maildrop.unique)


async def _listing(session: Session, command: Command, what: Callable[[int], str]) -> None:
    drop = session.maildrop
    asked = command.numbers(0, 1)
    if asked:
        drop.index(asked[0])
        session.ok(f"{asked[0]} {what(asked[0])}")
        return
    session.ok(f"{drop.total()[0]} messages")
    lines: list[str] = []
    for number in list(drop.numbers()):
        lines.append(f"{number} {what(number)}\r\n")
        if len(lines) == LINES_AT_ONCE:
            session.connection.write("".join(lines).encode())
            lines.clear()
            await session.connection.drain()
            await asyncio.sleep(0)
    session.connection.write("".join([*lines, ".\r\n"]).encode())


async def retr(session: Session, command: Command) -> None:
    (number,) = command.numbers(1, 1)
    drop = session.maildrop
    drop.index(number)
    await _send(session, number, Stuffer(), f"{drop.size(number)} octets")
    _note_fetched(session, number)


async def top(session: Session, command: Command) -> None:
    number, lines = command.numbers(2, 2)
    session.maildrop.index(number)
    await _send(session, number, Stuffer(lines), "The beginning")


async def _send(session: Session, number: int, stuffer: Stuffer, words: str) -> None:
    """A message, block by block: as much of it is in memory as its client lets wait."""
    connection = session.connection
    begun = False
    try:
        async for block in session.maildrop.blocks(number):
            if not begun:
                session.ok(words)
                begun = True
            connection.write(stuffer.feed(block))
            connection.flush()
            await connection.drain()
            if stuffer.done:
                break
    except StoreProblem:
        if not begun:
            raise
        # The client must not take what follows for the rest of the message.
        connection.abort()
        raise ConnectionResetError from None
    if not begun:  # a message of no octets
        session.ok(words)
    connection.write(stuffer.end())


def _note_fetched(session: Session, number: int) -> None:
    """The last stop on a delivery's way."""
    name = session.maildrop.email_id(number)
    assert session.record is not None
    account = session.record.address
    id = session.services.trace.first_fetch(name, account, "pop3") if name is not None else None
    if id is not None:
        log.info("message.fetched", id=id, account=account, session=session.id)


async def dele(session: Session, command: Command) -> None:
    (number,) = command.numbers(1, 1)
    session.maildrop.index(number)
    if session.read_only:
        raise Refused("That app password is for reading alone", "SYS/PERM")
    session.maildrop.mark(number)
    session.ok("Removed at QUIT")


async def rset(session: Session, command: Command) -> None:
    command.nothing()
    session.maildrop.unmark_all()
    count, octets = session.maildrop.total()
    session.ok(f"{count} messages, {octets} octets")


async def noop(session: Session, command: Command) -> None:
    command.nothing()
    session.ok("Nothing done")


async def quit_(session: Session, command: Command) -> None:
    """What is marked is gone for good once this answers (RFC 1939 6)."""
    command.nothing()
    session.connection.closing_after_answer()
    if session.drop is not None:
        try:
            removed = await session.drop.remove_marked()
        except StoreProblem as problem:
            log.error("pop3.store_failed", session=session.id, command="QUIT", problem=problem.detail)
            raise Refused("Nothing was removed: the server's disk failed", "SYS/TEMP") from problem
        assert session.record is not None
        log.info("pop3.quit", session=session.id, account=session.record.address, removed=removed)
    session.ok("Bye")


BEFORE = State.AUTHORIZATION
AFTER = State.TRANSACTION

HANDLERS: dict[str, Handler] = {
    "CAPA": Handler(capa, BEFORE | AFTER),
    "USER": Handler(user, BEFORE, _user_capability),
    "PASS": Handler(pass_, BEFORE),
    "AUTH": Handler(auth, BEFORE, _mechanisms),
    "STLS": Handler(stls, BEFORE, _stls_capability),
    "STAT": Handler(stat, AFTER),
    "LIST": Handler(list_, AFTER),
    "UIDL": Handler(uidl, AFTER, "UIDL"),
    "RETR": Handler(retr, AFTER),
    "TOP": Handler(top, AFTER, "TOP"),
    "DELE": Handler(dele, AFTER),
    "RSET": Handler(rset, AFTER),
    "NOOP": Handler(noop, AFTER),
    "QUIT": Handler(quit_, BEFORE | AFTER),
}
