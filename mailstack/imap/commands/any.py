"""Commands for any state: CAPABILITY, NOOP, LOGOUT, ID, ENABLE, COMPRESS, CHECK."""

from mailstack import __version__
from mailstack.imap.annotation_news import AnnotationNews
from mailstack.imap.answers import no
from mailstack.imap.capability import capabilities
from mailstack.imap.session import Session
from mailstack.log import get_logger
from mailstack.wire.imap import commands as c

log = get_logger()


async def capability(session: Session, _: c.Capability) -> str:
    from mailstack.imap.table import HANDLERS

    session.write(f"* CAPABILITY {' '.join(capabilities(session, HANDLERS))}\r\n".encode())
    return "CAPABILITY done"


async def noop(session: Session, _: c.Noop) -> str:
    if session.selected is not None:
        await session.selected.mailbox.check()
    if session.watch is not None:
        await session.watch.look()
    return "NOOP done"


async def check(session: Session, _: c.Check) -> str:
    await session.box.mailbox.check()
    return "CHECK done"


async def logout(session: Session, _: c.Logout) -> str:
    session.deselect()
    session.write(b"* BYE Logging out\r\n")
    # The tagged answer follows this one; the connection closes behind it.
    session.connection.closing_after_answer()
    return "LOGOUT done"


async def identify(session: Session, command: c.Id) -> str:
    """RFC 2971. What a client says of itself goes to the log, cut short."""
    if command.fields:
        told = {name.lower()[:30]: (value or "")[:80] for name, value in command.fields}
        session.client = " ".join(word for word in (told.get("name"), told.get("version")) if word)
        log.info("imap.client", session=session.id, name=told.get("name"), version=told.get("version"), os=told.get("os"))
        if session.login is not None:
            session.services.logins.seen(session.login, session.connection.channel(), session.client)
    session.write(f'* ID ("name" "mailstack" "version" "{__version__}")\r\n'.encode())
    return "ID done"


ENABLED = frozenset({"METADATA", "METADATA-SERVER", "CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"})
ON_REQUEST = frozenset({"UIDONLY"})  # only for an account that asked for it


async def enable(session: Session, command: c.Enable) -> str:
    """RFC 5161. What is unknown is passed over."""
    possible = ENABLED | (ON_REQUEST & session.asked)
    new = [name for name in dict.fromkeys(command.names) if name in possible and name not in session.enabled]
    if "CONDSTORE" in new or "QRESYNC" in new:
        session.enable_condstore()
    session.enabled |= frozenset(new)
    if "UTF8=ACCEPT" in new or "IMAP4REV2" in new:
        session.utf8 = True
    if session.selected is not None:
        session.selected.suit(session.enabled)
    if session.annotation_news is None and {"METADATA", "METADATA-SERVER"} & set(new):
        session.annotation_news = AnnotationNews(session)
    shown = ["IMAP4rev2" if name == "IMAP4REV2" else name for name in new]
    session.write((" ".join(["* ENABLED", *shown]) + "\r\n").encode())
    return "ENABLE done"


async def compress(session: Session, _: c.Compress) -> str:
    """RFC 4978. The connection switches behind the answer."""
    if session.compressing:
        raise no("Compression is on already", "COMPRESSIONACTIVE")
    session.compressing = True
    return "DEFLATE active"
