"""SELECT, EXAMINE, CLOSE, UNSELECT, CREATE, DELETE, RENAME, SUBSCRIBE, STATUS, NAMESPACE."""

from mailstack.imap.answers import bad, no
from mailstack.imap.resync import resync
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session, State
from mailstack.message.flag import Flags
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.values import MailboxStatus, SpecialUse
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name


async def select(session: Session, command: c.Select) -> str:
    """RFC 9051 6.3.2, 6.3.3; CONDSTORE as RFC 7162 3.1.8, QRESYNC as 3.2.5."""
    if command.known is not None and "QRESYNC" not in session.enabled:
        raise bad("ENABLE QRESYNC comes first")
    was_selected = session.selected is not None
    session.deselect()
    if was_selected:
        session.write(b"* OK [CLOSED] The mailbox that was selected is closed\r\n")
    mailbox = await session.mail.open(command.mailbox)
    selected = session.selected = Selected(mailbox, command.read_only, session.on_change)
    session.state = State.SELECTED
    if session.watch is not None:
        selected.told_flags, selected.fetches_new = session.watch.tells_flags, bool(session.watch.items)
    if command.condstore:
        session.enabled |= {"CONDSTORE"}
    selected.condstore = "CONDSTORE" in session.enabled
    selected.qresync = "QRESYNC" in session.enabled
    for line in selected.flags_lines():
        session.write(line)
    session.write(b"* %d EXISTS\r\n" % len(selected.uids))
    if session.rev1:
        session.write(b"* %d RECENT\r\n" % selected.recent_count)
        seen = int(Flags.SEEN)
        unseen = next((place for place, flags in enumerate(mailbox.flags) if not flags & seen), None)
        if unseen is not None:
            session.write(b"* OK [UNSEEN %d] The first unseen message\r\n" % (unseen + 1))
    session.write(b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % mailbox.uid_validity)
    session.write(b"* OK [UIDNEXT %d] The next UID\r\n" % mailbox.uid_next)
    session.write(b"* OK [HIGHESTMODSEQ %d] The highest change\r\n" % mailbox.highest_modseq)
    session.write(b"* OK [MAILBOXID (%b)] Its id, whatever its name\r\n" % mailbox.id.encode())
    if not session.rev1:
        session.write(b'* LIST () "/" %b\r\n' % shown_name(mailbox.name, utf8=session.utf8))
    if command.known is not None:
        await resync(session, selected, command.known)
    return "[READ-ONLY] Selected" if command.read_only else "[READ-WRITE] Selected"


async def close(session: Session, _: c.Close) -> str:
    """RFC 9051 6.4.1: what is marked goes, and nothing is told of it."""
    selected = session.box
    if not selected.read_only:
        mailbox = selected.mailbox
        mailbox.users += 1
        try:
            session.deselect()
            await mailbox.expunge(list(mailbox.uids))
        finally:
            mailbox.release()
    session.deselect()
    return "Closed"


async def unselect(session: Session, _: c.Unselect) -> str:
    session.deselect()
    return "Unselected"


async def create(session: Session, command: c.Create) -> str:
    """RFC 9051 6.3.4; special uses as RFC 6154 3."""
    name = command.mailbox.rstrip("/")
    use = None
    if command.uses:
        try:
            uses = {SpecialUse(f"\\{one[1:].capitalize()}") for one in command.uses}
        except ValueError:
            raise no("That special use is not known", "USEATTR") from None
        if len(uses) != 1:
            raise no("One special use a mailbox", "USEATTR")
        use = uses.pop()
        if any(info.special_use is use for info in await session.mail.listing()):
            raise no("Another mailbox has that use", "USEATTR")
    mailbox = await session.mail.create(name, use, session)
    return f"[MAILBOXID ({mailbox.id})] Created"


async def delete(session: Session, command: c.Delete) -> str:
    name = command.mailbox
    if session.selected is not None and session.selected.mailbox.name == name:
        session.deselect()
    await session.mail.delete(name, session)
    return "Deleted"


async def rename(session: Session, command: c.Rename) -> str:
    await session.mail.rename(command.old, command.new.rstrip("/"), session)
    return "Renamed"


async def subscribe(session: Session, command: c.Subscribe) -> str:
    await session.mail.subscribe(command.mailbox, session)
    return "Subscribed"


async def unsubscribe(session: Session, command: c.Unsubscribe) -> str:
    await session.mail.unsubscribe(command.mailbox, session)
    return "Unsubscribed"


async def namespace(session: Session, _: c.Namespace) -> str:
    session.write(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return "NAMESPACE done"


def status_items(found: MailboxStatus, items: tuple[str, ...], append_limit: int) -> str:
    """The values of a STATUS, as text."""
    values = {
        "MESSAGES": found.messages,
        "RECENT": found.recent,
        "UIDNEXT": found.uid_next,
        "UIDVALIDITY": found.uid_validity,
        "UNSEEN": found.unseen,
        "DELETED": found.deleted,
        "DELETED-STORAGE": found.deleted_size,
        "SIZE": found.size,
        "HIGHESTMODSEQ": found.highest_modseq,
        "APPENDLIMIT": append_limit,
        "MAILBOXID": f"({found.id})",
    }
    return " ".join(f"{item} {values[item]}" for item in items)


async def status(session: Session, command: c.Status) -> str:
    """RFC 9051 6.3.11."""
    try:
        found = await session.mail.status(command.mailbox)
    except NoSuchMailbox:
        raise no("There is no such mailbox", "NONEXISTENT") from None
    if "HIGHESTMODSEQ" in command.items:
        session.enable_condstore()
    shown = status_items(found, command.items, session.services.message_size)
    session.write(b"* STATUS %b (%b)\r\n" % (shown_name(command.mailbox, utf8=session.utf8), shown.encode()))
    return "STATUS done"
