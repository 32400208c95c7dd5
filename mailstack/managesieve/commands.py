"""Every command, and the capabilities (RFC 5804 2)."""

from mailstack import __version__
from mailstack.log import get_logger
from mailstack.managesieve.session import Handler, Refused, Session, State
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.login import BANNED, CODES, LOGGED, Denial, Denied
from mailstack.sieve.table import capabilities
from mailstack.store.sieve.scripts import acceptable_name
from mailstack.wire.managesieve import Command, literal, quoted

log = get_logger()

ANSWERS: dict[Denial, tuple[str, str | None]] = {
    Denial.WRONG: ("Wrong user name or password", None),
    Denial.BUSY: ("The server is busy; try again", "TRYLATER"),
    Denial.CANCELLED: ("Cancelled", None),
    Denial.MALFORMED: ("Not what the mechanism says", None),
    Denial.UNKNOWN_MECHANISM: ("That mechanism is not known", None),
    Denial.NO_TLS: ("Start TLS first", "ENCRYPT-NEEDED"),
    Denial.OTHER_IDENTITY: ("Acting for others is not possible", None),
    Denial.BANNED: (f"{BANNED}; try again later", "TRYLATER"),
    Denial.EXPIRED: ("That app password has expired; make a new one", None),
    Denial.OUT_OF_SCOPE: ("That app password is not for ManageSieve", None),
    Denial.NEEDS_DEVICE: (CODES, "AUTH-TOO-WEAK"),  # RFC 5804 1.3
}


def announced(session: Session) -> list[bytes]:
    """RFC 5804 1.7: lines of names and values."""
    services, connection = session.services, session.connection
    names = capabilities()
    found: list[tuple[str, str | None]] = [
        ("IMPLEMENTATION", f"mailstack {__version__}"),
        ("SASL", " ".join(services.logins.mechanisms(connection.channel())) if session.state is State.BEFORE else ""),
        ("SIEVE", " ".join(names)),
    ]
    if "enotify" in names:
        found.append(("NOTIFY", "mailto"))
    if connection.may_start_tls:
        found.append(("STARTTLS", None))
    found.append(("MAXREDIRECTS", str(services.scripts.language.redirects)))
    if session.record is not None:
        found.append(("OWNER", session.record.address))
    found += [(name, None) for name in ("UNAUTHENTICATE",) if name in HANDLERS]
    found.append(("VERSION", "1.0"))
    return [quoted(name) + (b" " + quoted(value) if value is not None else b"") + b"\r\n" for name, value in found]


def greet(session: Session, words: str) -> None:
    for line in announced(session):
        session.connection.write(line)
    session.ok(words)


async def capability(session: Session, command: Command) -> None:
    command.exactly(0)
    greet(session, "Capabilities")


async def noop(session: Session, command: Command) -> None:
    """RFC 5804 2.13."""
    if command.arguments:
        command.exactly(1)
        session.ok("Done", "TAG", command.octets(0))
    else:
        session.ok("Done")


async def logout(session: Session, command: Command) -> None:
    command.exactly(0)
    session.connection.closing_after_answer()
    session.ok("Bye")


# Before the login -----------------------------------------------------------------------------------------------------


async def starttls(session: Session, command: Command) -> None:
    """RFC 5804 2.2: the capabilities are told again, by themselves."""
    command.exactly(0)
    context = session.services.tls
    if context is None or not session.connection.may_start_tls:
        raise SyntaxProblem("STARTTLS is not possible now")
    await session.connection.start_tls(context, b'OK "Begin TLS now"\r\n')
    greet(session, "TLS is there")


async def authenticate(session: Session, command: Command) -> None:
    """RFC 5804 2.1."""
    if not 1 <= len(command.arguments) <= 2:
        raise SyntaxProblem("AUTHENTICATE takes a mechanism and an initial response")
    mechanism = command.text(0).upper()
    initial = command.octets(1) if len(command.arguments) == 2 else None
    if initial == b"":
        initial = b"="  # empty, and not missing, as the other protocols write it
    connection = session.connection
    found = await session.services.logins.sasl(mechanism, initial, connection.channel(), connection.ask)
    if not isinstance(found, Denied):
        await session.log_in(found)
        session.ok("Welcome")
        return
    if found.denial in LOGGED:
        session.bad_commands += 1
        log.warning(
            "managesieve.login_failed",
            session=session.id, user=found.user[:100], peer=connection.peer, reason=found.reason or None,
        )  # fmt: skip
    raise Refused(*ANSWERS[found.denial])


async def unauthenticate(session: Session, command: Command) -> None:
    """RFC 5804 2.14."""
    command.exactly(0)
    session.log_out()
    session.ok("Nobody is logged in")


# Scripts --------------------------------------------------------------------------------------------------------------


def _name(text: str) -> str:
    if not acceptable_name(text):
        raise Refused("A name has 1 to 128 characters, none of them a control character")
    return text


async def havespace(session: Session, command: Command) -> None:
    command.exactly(2)
    await session.services.scripts.room(session.folder, _name(command.text(0)), command.number(1))
    session.ok("There is room")


async def putscript(session: Session, command: Command) -> None:
    """RFC 5804 2.6: what can't be compiled is not kept."""
    command.exactly(2)
    name = _name(command.text(0))
    await session.services.scripts.put(session.folder, name, command.octets(1))
    log.info("managesieve.put", session=session.id, account=session.connection.account, script=name)
    session.ok("Kept")


async def checkscript(session: Session, command: Command) -> None:
    command.exactly(1)
    await session.services.scripts.check(command.octets(0))
    session.ok("A script")


async def listscripts(session: Session, command: Command) -> None:
    command.exactly(0)
    for name, active in (await session.services.scripts.listing(session.folder)).items():
        session.connection.write(quoted(name) + (b" ACTIVE" if active else b"") + b"\r\n")
    session.ok("Scripts")


async def setactive(session: Session, command: Command) -> None:
    """RFC 5804 2.8: an empty name leaves none active."""
    (name,) = command.strings(1)
    await session.services.scripts.activate(session.folder, name or None)
    log.info("managesieve.activated", session=session.id, account=session.connection.account, script=name or None)
    session.ok("It is active" if name else "None is active")


async def getscript(session: Session, command: Command) -> None:
    (name,) = command.strings(1)
    session.connection.write(literal(await session.services.scripts.read(session.folder, name)) + b"\r\n")
    session.ok("The script")


async def deletescript(session: Session, command: Command) -> None:
    (name,) = command.strings(1)
    await session.services.scripts.delete(session.folder, name)
    session.ok("Gone")


async def renamescript(session: Session, command: Command) -> None:
    old, new = command.strings(2)
    await session.services.scripts.rename(session.folder, old, _name(new))
    session.ok("Renamed")


ANY = State.BEFORE | State.LOGGED_IN
AFTER = State.LOGGED_IN

HANDLERS: dict[str, Handler] = {
    "CAPABILITY": Handler(capability, ANY),
    "NOOP": Handler(noop, ANY),
    "LOGOUT": Handler(logout, ANY),
    "STARTTLS": Handler(starttls, State.BEFORE),
    "AUTHENTICATE": Handler(authenticate, State.BEFORE),
    "UNAUTHENTICATE": Handler(unauthenticate, AFTER),
    "HAVESPACE": Handler(havespace, AFTER),
    "PUTSCRIPT": Handler(putscript, AFTER),
    "CHECKSCRIPT": Handler(checkscript, AFTER),
    "LISTSCRIPTS": Handler(listscripts, AFTER),
    "SETACTIVE": Handler(setactive, AFTER),
    "GETSCRIPT": Handler(getscript, AFTER),
    "DELETESCRIPT": Handler(deletescript, AFTER),
    "RENAMESCRIPT": Handler(renamescript, AFTER),
}
