"""NOTIFY (RFC 5465 3.1)."""

from mailstack.imap.answers import no
from mailstack.imap.session import Session
from mailstack.imap.watching import Watch
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.notify import Event

SUPPORTED = (
    Event.MESSAGE_NEW,
    Event.MESSAGE_EXPUNGE,
    Event.FLAG_CHANGE,
    Event.MAILBOX_NAME,
    Event.SUBSCRIPTION_CHANGE,
    Event.MAILBOX_METADATA_CHANGE,
    Event.SERVER_METADATA_CHANGE,
)


async def notify(session: Session, command: c.Notify) -> str:
    """What was asked before is forgotten; a NOOP is done on the way, and the news of the selected mailbox are told."""
    if any(group.unknown or group.events - set(SUPPORTED) for group in command.groups):
        names = " ".join(event.value for event in SUPPORTED)
        raise no("Some of these events do not exist here", f"BADEVENT ({names})")
    if session.watch is not None:
        session.watch.close()
    watch = session.watch = Watch(session, command.groups)
    if session.selected is not None:
        session.selected.told_flags = watch.tells_flags
        session.selected.fetches_new = bool(watch.items)
        await session.selected.mailbox.check()
    await watch.look()
    if command.status:
        for name, brief in (await session.mail.brief(watch.watched())).items():
            watch.tell_status(name, brief)
            await session.connection.drain()
    return "NOTIFY done"
