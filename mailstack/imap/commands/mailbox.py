"""SELECT, EXAMINE, CLOSE, UNSELECT, CREATE, DELETE, RENAME, SUBSCRIBE, STATUS, NAMESPACE."""

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.quota import warn
from mailstack.imap.listed import tell
from mailstack.imap.places import PREFIX, Place, find, not_allowed
from mailstack.imap.resync import resync
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session, State
from mailstack.message.flag import Flags
from mailstack.policy.rights import Rights
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR, normalise
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
    place = await find(session, command.mailbox)
    mailbox = await place.open(Rights.READ)
    selected = session.selected = Selected(mailbox, command.read_only or session.read_only, session.on_change, place)
    session.state = State.SELECTED
    selected.progress = session.progress.count
    if session.watch is not None:
        selected.told_flags, selected.fetches_new = session.watch.tells_flags, bool(session.watch.items)
    if command.condstore:
        session.enabled |= {"CONDSTORE"}
    selected.suit(session.enabled)
    for line in selected.flags_lines():
        session.write(line)
    session.write(b"* %d EXISTS\r\n" % len(selected.uids))
    if session.rev1:
        session.write(b"* %d RECENT\r\n" % selected.recent_count)
        unseen = mailbox.loaded.first_without(Flags.SEEN)
        if unseen is not None and not selected.uid_only:  # it is a number
            session.write(b"* OK [UNSEEN %d] The first unseen message\r\n" % (unseen + 1))
    session.write(b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % mailbox.uid_validity)
    session.write(b"* OK [UIDNEXT %d] The next UID\r\n" % mailbox.uid_next)
    session.write(b"* OK [HIGHESTMODSEQ %d] The highest change\r\n" % mailbox.highest_modseq)
    session.write(b"* OK [MAILBOXID (%b)] Its id, whatever its name\r\n" % mailbox.id.encode())
    if session.services.urlauth and not place.shared:
        session.write(b"* OK [URLMECH INTERNAL] URLs can be authorised\r\n")
    await tell(session, place, command.mailbox, always=True)
    if not place.shared:
        await warn(session)
    if command.known is not None:
        await resync(session, selected, command.known)
    return "[READ-ONLY] Selected" if selected.read_only else "[READ-WRITE] Selected"


async def close(session: Session, _: c.Close) -> str:
    """RFC 9051 6.4.1: what is marked goes, and nothing is told of it."""
    selected = session.box
    if not selected.read_only and Rights.EXPUNGE in selected.rights:
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
    place = await find(session, command.mailbox.rstrip("/"))
    place.require_creation()
    use = None
    if command.uses:
        try:
            uses = {SpecialUse(f"\\{one[1:].capitalize()}") for one in command.uses}
        except ValueError:
            raise no("That special use is not known", "USEATTR") from None
        if len(uses) != 1:
            raise no("One special use a mailbox", "USEATTR")
        use = uses.pop()
        if place.shared:
            raise no("A special use is its owner's to give", "USEATTR")
        if any(info.special_use is use for info in await session.mail.listing()):
            raise no("Another mailbox has that use", "USEATTR")
    mailbox = await place.account.create(place.name, use, session)
    await tell(session, place, command.mailbox.rstrip("/"))
    return f"[MAILBOXID ({mailbox.id})] Created"


async def delete(session: Session, command: c.Delete) -> str:
    place = await find(session, command.mailbox)
    place.require(Rights.DELETE)
    if session.selected is not None and place.names(session.selected.mailbox) and normalise(place.name) != INBOX:
        session.deselect()
    try:
        await place.account.delete(place.name, session)
    except NoSuchMailbox:
        if any(info.name == normalise(place.name) for info in await place.account.listing()):
            raise no("There are mailboxes below that name", "HASCHILDREN") from None
        raise
    await tell(session, place, command.mailbox)
    return "Deleted"


async def rename(session: Session, command: c.Rename) -> str:
    old = await find(session, command.old)
    _require_renaming(old)
    new = await find(session, command.new.rstrip("/"))
    new.require_creation()
    if old.prefix != new.prefix or (old.shared and normalise(old.name) == INBOX):
        raise no("A mailbox stays in its account", "CANNOT")
    await old.account.rename(old.name, new.name, session)
    await tell(session, new, command.new, command.old)
    return "Renamed"


def _require_renaming(place: Place) -> None:
    """What is below goes with it, so that it needs the right too."""
    place.require(Rights.DELETE)
    below = normalise(place.name) + SEPARATOR
    if not all(Rights.DELETE in place.rights_in(one) for one in place.account.mailboxes() if one.name.startswith(below)):
        raise not_allowed()


async def subscribe(session: Session, command: c.Subscribe) -> str:
    place = await find(session, command.mailbox)
    place.require(Rights.LOOKUP)
    await session.mail.subscribe(place.shown, session)
    return "Subscribed"


async def unsubscribe(session: Session, command: c.Unsubscribe) -> str:
    await session.mail.unsubscribe(command.mailbox, session)
    return "Unsubscribed"


async def namespace(session: Session, _: c.Namespace) -> str:
    session.write(b'* NAMESPACE (("" "/")) (("%b" "/")) NIL\r\n' % PREFIX.encode())
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


async def status_of(place: Place) -> MailboxStatus:
    mailbox = await place.open(Rights.READ)
    try:
        return mailbox.status()
    finally:
        mailbox.release()


async def status(session: Session, command: c.Status) -> str:
    """RFC 9051 6.3.11."""
    found = await status_of(await find(session, command.mailbox))
    if "HIGHESTMODSEQ" in command.items:
        session.enable_condstore()
    shown = status_items(found, command.items, session.services.message_size)
    session.write(b"* STATUS %b (%b)\r\n" % (shown_name(command.mailbox, utf8=session.utf8), shown.encode()))
    return "STATUS done"
