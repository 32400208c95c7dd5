"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 3). The owner of a mailbox has all rights, always."""

from mailstack.imap.answers import no
from mailstack.imap.places import Place, find
from mailstack.imap.session import Session
from mailstack.policy.rights import ALL, KNOWING, LETTERS, READING, Rights, parse_rights, show_rights
from mailstack.policy.sharing import Identifier, NotAGrantee, TooManyGrants
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name
from mailstack.wire.imap.responses import string


async def set_acl(session: Session, command: c.SetAcl) -> str:
    rights = parse_rights(command.rights)
    place = await _administered(session, command.mailbox)
    who = await _identify(session, command.identifier)
    try:
        await session.services.sharing.set(_owner(session, place), place.account, place.name, who, command.sign, rights)
    except NotAGrantee:
        raise _no_grantee() from None
    except TooManyGrants:
        raise no("The mailbox has all the rights that it can keep", "LIMIT") from None
    return "SETACL done"


async def delete_acl(session: Session, command: c.DeleteAcl) -> str:
    place = await _administered(session, command.mailbox)
    who = await _identify(session, command.identifier)
    await session.services.sharing.remove(_owner(session, place), place.account, place.name, who)
    return "DELETEACL done"


async def get_acl(session: Session, command: c.GetAcl) -> str:
    place = await _administered(session, command.mailbox)
    entries = [(_owner(session, place).address, ALL)]
    for grant in await session.services.sharing.living(place.account.grants(place.name)):
        entries.append(("-" * grant.negative + grant.address, parse_rights(grant.rights)))
    shown = b"".join([b" %b %b" % (_string(session, name), show_rights(rights).encode()) for name, rights in entries])
    session.write(b"* ACL %b%b\r\n" % (shown_name(command.mailbox, utf8=session.utf8), shown))
    return "GETACL done"


async def list_rights(session: Session, command: c.ListRights) -> str:
    """What the identifier has anyhow, then each right that it can be given: none is tied to another."""
    place = await _administered(session, command.mailbox)
    who = await _identify(session, command.identifier)
    if session.services.sharing.grantable(who, _owner(session, place)):
        shown = b'""' + b"".join([b" " + letter.encode() for letter in LETTERS])
    elif who.account is None:
        shown = b'""'
    else:
        shown = show_rights(ALL).encode()
    identifier = _string(session, command.identifier)
    session.write(b"* LISTRIGHTS %b %b %b\r\n" % (shown_name(command.mailbox, utf8=session.utf8), identifier, shown))
    return "LISTRIGHTS done"


async def my_rights(session: Session, command: c.MyRights) -> str:
    """RFC 4314 4: for who has any right that says that the mailbox is there."""
    place = await find(session, command.mailbox)
    rights = place.rights_in(place.account.look(place.name))
    if session.read_only:
        rights &= READING
    if not rights & KNOWING:
        raise NoSuchMailbox(place.shown)
    session.write(b"* MYRIGHTS %b %b\r\n" % (shown_name(command.mailbox, utf8=session.utf8), show_rights(rights).encode()))
    return "MYRIGHTS done"


async def _administered(session: Session, name: str) -> Place:
    place = await find(session, name)
    place.require(Rights.ADMINISTER)
    place.account.look(place.name)
    return place


def _owner(session: Session, place: Place) -> AccountRecord:
    return session.known if place.access is None else place.access.owner.record


async def _identify(session: Session, text: str) -> Identifier:
    try:
        return await session.services.sharing.identify(text)
    except NotAGrantee:
        raise _no_grantee() from None


def _no_grantee() -> Exception:
    return no("Rights can be given to other accounts of this server, by their address", "CANNOT")


def _string(session: Session, text: str) -> bytes:
    return string(text.encode("utf-8"), utf8=session.utf8)
