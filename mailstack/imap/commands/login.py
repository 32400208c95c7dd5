"""LOGIN and AUTHENTICATE."""

from mailstack.imap.answers import Refused, bad, no
from mailstack.imap.session import Session
from mailstack.log import get_logger
from mailstack.policy.login import BANNED, CODES, LOGGED, Denial, Denied, Outcome
from mailstack.wire.imap import commands as c

log = get_logger()

ANSWERS: dict[Denial, Refused] = {
    Denial.WRONG: no("Wrong user name or password", "AUTHENTICATIONFAILED"),
    Denial.BUSY: no("The server is busy; try again", "UNAVAILABLE"),
    Denial.CANCELLED: bad("authentication cancelled"),
    Denial.MALFORMED: bad("not what the mechanism says"),
    Denial.UNKNOWN_MECHANISM: no("That mechanism is not known", "CANNOT"),
    Denial.NO_TLS: no("Start TLS first", "PRIVACYREQUIRED"),
    Denial.OTHER_IDENTITY: no("Acting for others is not possible", "AUTHORIZATIONFAILED"),
    Denial.BANNED: no(f"{BANNED}; try again later", "UNAVAILABLE"),
    Denial.EXPIRED: no("That app password has expired; make a new one", "EXPIRED"),  # RFC 5530 3
    Denial.OUT_OF_SCOPE: no("That app password is not for IMAP", "AUTHORIZATIONFAILED"),
    Denial.NEEDS_DEVICE: no(CODES, "ALERT"),  # RFC 9051 7.1: clients show it
}


async def login(session: Session, command: c.Login) -> str:
    """RFC 9051 6.2.3."""
    channel = session.connection.channel()
    return await _admit(session, await session.services.logins.password(channel, command.user, command.password))


async def authenticate(session: Session, command: c.Authenticate) -> str:
    """RFC 9051 6.2.2; an initial response is taken (RFC 4959)."""
    connection = session.connection
    logins = session.services.logins
    return await _admit(session, await logins.sasl(command.mechanism, command.initial, connection.channel(), connection.ask))


async def _admit(session: Session, found: Outcome) -> str:
    from mailstack.imap.capability import capabilities
    from mailstack.imap.table import HANDLERS

    if isinstance(found, Denied):
        if found.denial in LOGGED:
            log.warning(
                "imap.login_failed",
                session=session.id, user=found.user[:100], peer=session.connection.peer, reason=found.reason or None,
            )  # fmt: skip
        refused = ANSWERS[found.denial]
        raise Refused(refused.kind, refused.text, refused.code)
    await session.log_in(found)
    return f"[CAPABILITY {' '.join(capabilities(session, HANDLERS))}] Logged in"
