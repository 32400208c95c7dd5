"""GETMETADATA, SETMETADATA (RFC 5464), and what LIST shows of it (RFC 9590).

The account's own private entries are kept with it; what is shared by all users of the server comes from its settings.
"""

from collections.abc import Iterable, Mapping

from mailstack.delivery.events import ENTRY
from mailstack.imap.answers import Refused, no
from mailstack.imap.commands.filters import require_valid
from mailstack.imap.places import Place, find, not_allowed
from mailstack.imap.session import Session
from mailstack.policy.rights import Rights
from mailstack.store.errors import MailboxExists, NoSuchMailbox
from mailstack.store.mailbox.values import SpecialUse
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.metadata_grammar import INFINITY
from mailstack.wire.imap.responses import mailbox as shown_name
from mailstack.wire.imap.responses import string

SPECIAL_USE = "/private/specialuse"  # RFC 6154 4: tied to the mailbox's special use
TOUCHING = Rights.READ | Rights.SEEN | Rights.WRITE | Rights.INSERT | Rights.POST


async def get_metadata(session: Session, command: c.GetMetadata) -> str:
    found = _chosen(await _known(session, command.mailbox), command.entries, command.depth)
    limit = command.largest
    too_long = [len(value) for value in found.values() if value is not None and limit is not None and len(value) > limit]
    shown = {name: value for name, value in found.items() if value is None or limit is None or len(value) <= limit}
    write_metadata(session, command.mailbox, shown)
    await session.connection.drain()
    return f"[METADATA LONGENTRIES {max(too_long)}] GETMETADATA done" if too_long else "GETMETADATA done"


async def set_metadata(session: Session, command: c.SetMetadata) -> str:
    """All or none."""
    changes = dict(command.changes)
    if any(name in ("/private", "/shared") for name in changes):
        raise no("Only what is below /private and /shared has a value", "CANNOT")
    if not command.mailbox:
        if any(name.startswith("/shared/") for name in changes):
            raise no("Only the administrator changes what all users of the server share", "NOPERM")
        require_valid(changes)
        await session.mail.annotate("", changes, origin=session)
        return "SETMETADATA done"
    place = await _place(session, command.mailbox)
    place.require(Rights.LOOKUP | Rights.WRITE)
    if place.shared and any(name.startswith("/private/") for name in changes):
        raise no("Private annotations are kept for one's own mailboxes", "METADATA NOPRIVATE")
    if ENTRY in changes:
        place.require(Rights.LOOKUP | Rights.ADMINISTER)  # RFC 6785 2.3.1: a choice among its owner's scripts
    if SPECIAL_USE in changes:
        if len(changes) > 1:
            raise no("A special use is set alone", "CANNOT")
        await _use(place, changes[SPECIAL_USE])
        return "SETMETADATA done"
    place.account.hold()
    try:
        await place.account.annotate(place.name, changes, origin=session)
    finally:
        place.account.let_go()
    return "SETMETADATA done"


async def _place(session: Session, name: str) -> Place:
    """RFC 5464 3.3: who may look a mailbox up and do something with its messages."""
    place = await find(session, name)
    place.require(Rights.LOOKUP)
    if not place.rights & TOUCHING:
        raise not_allowed()
    place.account.look(place.name)
    return place


async def _use(place: Place, value: bytes | None) -> None:
    """RFC 6154 5.4."""
    names = (value or b"").decode("utf-8", "replace").split()
    try:
        uses = [SpecialUse(f"\\{name[1:].capitalize()}") for name in names]
    except ValueError:
        raise no("That special use is not known", "USEATTR") from None
    if len(uses) > 1:
        raise no("One special use a mailbox", "USEATTR")
    try:
        await place.account.use(place.name, uses[0] if uses else None)
    except MailboxExists:
        raise no("Another mailbox has that use", "USEATTR") from None


async def listed_metadata(session: Session, name: str, entries: tuple[str, ...]) -> dict[str, bytes | None]:
    """What a LIST tells of a mailbox; nothing where the session may not ask for it."""
    try:
        return _chosen(await _known(session, name), entries, 0)
    except (NoSuchMailbox, Refused):
        return {}


async def _known(session: Session, name: str) -> dict[str, bytes]:
    """All that this session may see. What an owner keeps for himself is nobody else's."""
    if not name:
        return (await session.mail.annotations([""]))[0] | _of_server(session)
    place = await _place(session, name)
    found = (await place.account.annotations([place.name]))[0]
    if place.shared:
        return {entry: value for entry, value in found.items() if entry.startswith("/shared/")}
    use = place.account.look(place.name).special_use
    return found | {SPECIAL_USE: use.value.encode()} if use is not None else found


def _of_server(session: Session) -> dict[str, bytes]:
    services = session.services
    found = {"/shared/comment": f"mailstack at {services.hostname}".encode()}
    if services.postmaster:
        found["/shared/admin"] = f"mailto:{services.postmaster}".encode()
    return found


def _chosen(known: Mapping[str, bytes], entries: Iterable[str], depth: int) -> dict[str, bytes | None]:
    """The entries that were asked for, under the names they were asked by; with a depth also those below them.

    One that was named and has no value is NIL.
    """
    found: dict[str, bytes | None] = {}
    for entry in entries:
        name = entry.lower()
        if name in known or depth == 0:
            found[entry] = known.get(name)
        if depth:
            below = [one for one in sorted(known) if one.startswith(name + "/")]
            found |= {one: known[one] for one in below if depth == INFINITY or one.count("/") == name.count("/") + 1}
    return found


def write_metadata(session: Session, mailbox: str, values: Mapping[str, bytes | None]) -> None:
    if values:
        shown = shown_name(mailbox, utf8=session.utf8) if mailbox else b'""'
        pairs = b" ".join([_name(name) + b" " + _value(value) for name, value in values.items()])
        session.write(b"* METADATA %b (%b)\r\n" % (shown, pairs))


def names_line(session: Session, mailbox: str, names: Iterable[str]) -> bytes:
    """That entries changed (RFC 5464 4.4.2)."""
    shown = shown_name(mailbox, utf8=session.utf8) if mailbox else b'""'
    return b"* METADATA %b %b\r\n" % (shown, b" ".join(map(_name, names)))


def _name(name: str) -> bytes:
    data = name.encode("ascii")
    return string(data) if any(octet in b'(){"\\' for octet in data) else data


def _value(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    return b"~{%d}\r\n%b" % (len(value), value) if b"\0" in value else string(value)
