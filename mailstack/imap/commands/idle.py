"""IDLE (RFC 9051 6.3.13). Legal without a selected mailbox; the connection holds no task meanwhile."""

from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c


async def idle(session: Session, _: c.Idle) -> None:
    """The tagged answer follows DONE."""
    if session.selected is not None:
        await session.selected.mailbox.check()
    session.write(b"+ idling\r\n")
    session.flush_updates(may_expunge=True)
    if session.selected is not None:
        session.selected.rest()
    session.idling = session.connection.current_tag
    session.connection.flush()
