"""AUTH with PLAIN and LOGIN (RFC 4954)."""

import base64
import binascii
import ipaddress

from mailstack.log import get_logger
from mailstack.smtp.protocol import SmtpConnection
from mailstack.store.users.passwords import PasswordChecker, Refusal
from mailstack.wire.smtp import Reply

log = get_logger()


def may_log_in(connection: SmtpConnection) -> bool:
    services = connection.services
    if services.passwords is None or connection.account is not None:
        return False
    return connection.secure or (services.allow_plaintext and _is_loopback(connection.peer))


async def auth(connection: SmtpConnection, argument: str) -> None:
    passwords = connection.services.passwords
    if passwords is None:
        connection.complain(Reply(502, "5.5.1", "There is no login at this port"))
        return
    if connection.account is not None or connection.transaction is not None or not connection.extended:
        connection.complain(Reply(503, "5.5.1", "Not now"))
        return
    if not may_log_in(connection):
        connection.complain(Reply(538, "5.7.11", "Start TLS first"))
        return
    mechanism, _, initial = argument.partition(" ")
    try:
        credentials = await _credentials(connection, mechanism.upper(), initial)
    except (binascii.Error, ValueError):
        connection.complain(Reply(501, "5.5.2", "Not base64, or not what the mechanism says"))
        return
    if credentials is not None:
        await _prove(connection, passwords, *credentials)


async def _prove(connection: SmtpConnection, passwords: PasswordChecker, login: str, password: str) -> None:
    limits = connection.services.limits
    await limits.wait_turn(connection.peer, login)
    found = await passwords.verify(login, password)
    if isinstance(found, Refusal):
        if found is Refusal.BUSY:
            connection.say(Reply(454, "4.7.0", "The server is busy; try again"))
            return
        limits.failed(connection.peer, login)
        log.warning("smtp.login_failed", user=login[:100], peer=connection.peer)
        connection.complain(Reply(535, "5.7.8", "Wrong user name or password"))
        return
    limits.succeeded(connection.peer, login)
    connection.logged_in(found)
    log.info("smtp.login", account=found.address, peer=connection.peer, tls=connection.secure)
    connection.say(Reply(235, "2.7.0", "Logged in"))


async def _credentials(connection: SmtpConnection, mechanism: str, initial: str) -> tuple[str, str] | None:
    """The login and the password; None when the client was answered already. Raises ValueError."""
    if mechanism == "PLAIN":
        data = initial if initial and initial != "=" else await _challenge(connection, b"")
        if data == "*":
            connection.complain(Reply(501, "5.7.0", "Cancelled"))
            return None
        identity, user, password = base64.b64decode(data, validate=True).decode("utf-8").split("\0")
        if identity and identity.lower() != user.lower():
            connection.complain(Reply(535, "5.7.8", "Acting for others is not possible"))
            return None
        return user, password
    if mechanism == "LOGIN":
        answers = [initial] if initial else [await _challenge(connection, b"VXNlcm5hbWU6")]
        if answers[0] != "*":
            answers.append(await _challenge(connection, b"UGFzc3dvcmQ6"))
        if "*" in answers:
            connection.complain(Reply(501, "5.7.0", "Cancelled"))
            return None
        user, password = (base64.b64decode(one, validate=True).decode("utf-8") for one in answers)
        return user, password
    connection.complain(Reply(504, "5.5.4", "That mechanism is not known"))
    return None


async def _challenge(connection: SmtpConnection, data: bytes) -> str:
    connection.write(b"334 " + data + b"\r\n")
    line = await connection.read_line()
    if line is None:
        raise ValueError("line too long")
    return line.decode("ascii")


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
