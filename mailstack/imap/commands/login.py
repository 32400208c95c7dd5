"""LOGIN and AUTHENTICATE."""

import base64
import binascii

from mailstack.imap.answers import bad, no
from mailstack.imap.session import Session
from mailstack.log import get_logger
from mailstack.store.users.passwords import Refusal
from mailstack.wire.imap import commands as c

log = get_logger()


async def login(session: Session, command: c.Login) -> str:
    """RFC 9051 6.2.3."""
    if not session.plaintext_allowed:
        raise no("Start TLS first", "PRIVACYREQUIRED")
    await _prove(session, command.user, command.password)
    return _done(session)


async def authenticate(session: Session, command: c.Authenticate) -> str | None:
    """RFC 9051 6.2.2 with PLAIN and LOGIN; an initial response is taken (RFC 4959)."""
    if command.mechanism not in ("PLAIN", "LOGIN"):
        raise no("That mechanism is not known", "CANNOT")
    if not session.plaintext_allowed:
        raise no("Start TLS first", "PRIVACYREQUIRED")
    if command.mechanism == "PLAIN":
        answer = command.initial if command.initial is not None else await session.connection.ask(b"")
        if answer == b"=":
            answer = b""
        pieces = _decode(answer).split(b"\0")
        if len(pieces) != 3:
            raise bad("not a PLAIN response")
        identity, user, password = (piece.decode("utf-8", "replace") for piece in pieces)
        if identity and identity.lower() != user.lower():
            raise no("Acting for others is not possible", "AUTHORIZATIONFAILED")
    else:
        first = command.initial if command.initial is not None else await session.connection.ask(b"VXNlcm5hbWU6")
        user = _decode(first).decode("utf-8", "replace")
        password = _decode(await session.connection.ask(b"UGFzc3dvcmQ6")).decode("utf-8", "replace")
    await _prove(session, user, password)
    return _done(session)


def _decode(data: bytes) -> bytes:
    if data == b"*":
        raise bad("authentication cancelled")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise bad("not base64") from None


async def _prove(session: Session, user: str, password: str) -> None:
    services = session.services
    peer = session.connection.peer
    await services.limits.wait_turn(peer, user)
    found = await services.passwords.verify(user, password)
    if isinstance(found, Refusal):
        if found is Refusal.BUSY:
            raise no("The server is busy; try again", "UNAVAILABLE")
        services.limits.failed(peer, user)
        log.warning("imap.login_failed", session=session.id, user=user[:100], peer=peer)
        raise no("Wrong user name or password", "AUTHENTICATIONFAILED")
    services.limits.succeeded(peer, user)
    await session.log_in(found)


def _done(session: Session) -> str:
    from mailstack.imap.capability import capabilities
    from mailstack.imap.table import HANDLERS

    return f"[CAPABILITY {' '.join(capabilities(session, HANDLERS))}] Logged in"
