"""AUTH (RFC 4954)."""

from mailstack.log import get_logger
from mailstack.policy.login import BANNED, CODES, LOGGED, Denial, Denied, Logins, Outcome
from mailstack.smtp.protocol import LOGIN_LINE_LIMIT, SmtpConnection
from mailstack.wire.smtp import Reply

log = get_logger()

REPLIES: dict[Denial, Reply] = {
    Denial.WRONG: Reply(535, "5.7.8", "Wrong user name or password"),
    Denial.BUSY: Reply(454, "4.7.0", "The server is busy; try again"),
    Denial.CANCELLED: Reply(501, "5.7.0", "Cancelled"),
    Denial.MALFORMED: Reply(501, "5.5.2", "Not base64, or not what the mechanism says"),
    Denial.UNKNOWN_MECHANISM: Reply(504, "5.5.4", "That mechanism is not known"),
    Denial.NO_TLS: Reply(538, "5.7.11", "Start TLS first"),
    Denial.OTHER_IDENTITY: Reply(535, "5.7.8", "Acting for others is not possible"),
    Denial.BANNED: Reply(421, "4.7.0", f"{BANNED}; try again later"),
    Denial.EXPIRED: Reply(535, "5.7.8", "That app password has expired; make a new one"),
    Denial.OUT_OF_SCOPE: Reply(535, "5.7.8", "That app password is not for sending mail"),
    Denial.NEEDS_DEVICE: Reply(534, "5.7.9", CODES),  # RFC 4954 6
}


def may_log_in(connection: SmtpConnection) -> bool:
    return connection.services.logins is not None and connection.account is None and connection.channel().private


def mechanisms(connection: SmtpConnection) -> str:
    """EHLO's line."""
    logins = connection.services.logins
    return " ".join(["AUTH", *(logins.mechanisms(connection.channel()) if logins is not None else ())])


async def auth(connection: SmtpConnection, argument: str) -> None:
    logins = connection.services.logins
    if logins is None:
        connection.complain(Reply(502, "5.5.1", "There is no login at this port"))
        return
    if connection.account is not None or connection.transaction is not None or not connection.extended:
        connection.complain(Reply(503, "5.5.1", "Not now"))
        return
    if not may_log_in(connection):
        connection.complain(REPLIES[Denial.NO_TLS])
        return
    _answer(connection, await _exchange(connection, logins, argument))


async def _exchange(connection: SmtpConnection, logins: Logins, argument: str) -> Outcome:
    mechanism, _, initial = argument.partition(" ")

    async def ask(challenge: bytes) -> bytes:
        connection.write(b"334 " + challenge + b"\r\n")
        line = await connection.read_line(LOGIN_LINE_LIMIT)
        return line if line is not None else b"!"  # which is no base64

    return await logins.sasl(mechanism.upper(), initial.encode() or None, connection.channel(), ask)


def _answer(connection: SmtpConnection, found: Outcome) -> None:
    if not isinstance(found, Denied):
        connection.logged_in(found)
        device = found.device.label if found.device is not None else None
        log.info("smtp.login", account=found.account.address, peer=connection.peer, tls=connection.secure, device=device)
        connection.say(Reply(235, "2.7.0", "Logged in"))
    elif found.denial in (Denial.BUSY, Denial.BANNED):
        connection.say(REPLIES[found.denial])
        connection.leaving = connection.leaving or found.denial is Denial.BANNED
    else:
        if found.denial in LOGGED:
            log.warning("smtp.login_failed", user=found.user[:100], peer=connection.peer, reason=found.reason or None)
        connection.complain(REPLIES[found.denial])
