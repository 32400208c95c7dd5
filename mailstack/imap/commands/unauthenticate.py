"""UNAUTHENTICATE (RFC 8437): the connection as it was before LOGIN, TLS apart."""

from mailstack.imap.answers import bad
from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c


async def unauthenticate(session: Session, _: c.Unauthenticate) -> str:
    """Not for an account that hides it: behind a proxy it would let a client pass as another one (RFC 8437 8)."""
    if "UNAUTHENTICATE" in session.known.hidden:
        raise bad("UNAUTHENTICATE is not possible here")
    session.log_out()
    return "Logged out of the account; log in again"
