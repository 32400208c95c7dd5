"""COPY and MOVE (RFC 9051 6.4.7, 6.4.8)."""

from mailstack.imap.answers import no
from mailstack.imap.session import Session
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.values import Copied
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact_in_order


def _copyuid(copied: Copied) -> str:
    sources, uids = compact_in_order(copied.sources).decode(), compact_in_order(copied.uids).decode()
    return f"[COPYUID {copied.uid_validity} {sources} {uids}]"


async def copy(session: Session, command: c.Copy) -> str:
    uids = session.box.choose(command.set, uid=command.uid)
    try:
        copied = await session.box.mailbox.copy(uids, command.mailbox)
    except NoSuchMailbox:
        raise no("There is no such mailbox", "TRYCREATE") from None
    session.did_itself(command.mailbox, copied.uids)
    return f"{_copyuid(copied)} Copied" if copied.uids else "Nothing to copy"


async def move(session: Session, command: c.Move) -> str:
    if session.box.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    uids = session.box.choose(command.set, uid=command.uid)
    try:
        copied = await session.box.mailbox.move(uids, command.mailbox)
    except NoSuchMailbox:
        raise no("There is no such mailbox", "TRYCREATE") from None
    if not copied.uids:
        return "Nothing to move"
    session.did_itself(command.mailbox, copied.uids)
    # RFC 9051 6.4.8: COPYUID goes before the EXPUNGE responses.
    session.write(f"* OK {_copyuid(copied)} Moved\r\n".encode())
    if session.box.condstore:
        return f"[HIGHESTMODSEQ {session.box.mailbox.highest_modseq}] Done"
    return "Done"
