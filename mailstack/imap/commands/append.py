"""APPEND (RFC 9051 6.3.12), several messages at once (RFC 3502), of pieces (RFC 4469), with NULs (RFC 3516 4.4), and REPLACE
(RFC 8508).
"""

import asyncio

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.catenate import assembled
from mailstack.imap.commands.store import split_flags
from mailstack.imap.happening import after_append
from mailstack.imap.places import Place, find, not_allowed
from mailstack.imap.session import Session
from mailstack.imap.teaching import teach_append
from mailstack.message.binary import encoded
from mailstack.message.flag import Flags
from mailstack.policy.rights import REMOVING, Rights, changeable
from mailstack.store.content import Content
from mailstack.store.errors import MessageGone, NoSuchMailbox
from mailstack.store.mailbox.values import Appended, NewMessage
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact


async def target(session: Session, name: str) -> Place:
    """Where messages may be put (RFC 4314 4). Raises NO [TRYCREATE] where a mailbox can be made, NoSuchMailbox elsewhere."""
    place = await find(session, name)
    try:
        place.require(Rights.INSERT)
        place.account.look(place.name)
    except NoSuchMailbox:
        raise missing(place) from None
    return place


def missing(place: Place) -> Exception:
    return no("There is no such mailbox", "TRYCREATE") if place.may_create else NoSuchMailbox(place.shown)


def _look(session: Session, messages: tuple[c.AppendMessage, ...]) -> None:
    if len(session.contents) != sum(message.literals for message in messages):
        raise bad("A message comes as a literal")
    limit = session.services.copy_limit
    if limit is not None and len(messages) > limit:
        raise no("Too many messages in one command", f"MESSAGELIMIT {limit}")
    if any(message.size == 0 and not message.parts for message in messages):
        raise no("An empty message can't be stored", "CANNOT")


async def _assemble(session: Session, messages: tuple[c.AppendMessage, ...]) -> None:
    """One content a message, each as it is to be stored."""
    if not any(message.parts or message.binary for message in messages):
        return
    given, session.contents = session.contents, []
    texts = iter(given)
    try:
        for message in messages:
            if message.parts:
                session.contents.append(await assembled(session, message, texts))
                if session.contents[-1].size == 0:
                    raise no("An empty message can't be stored", "CANNOT")
            elif message.binary:
                session.contents.append(await asyncio.to_thread(_without_nul, session, next(texts)))
            else:
                session.contents.append(next(texts))
    finally:
        for content in given:
            if content not in session.contents:
                content.close()


def _without_nul(session: Session, content: Content) -> Content:
    """RFC 3516 4.4: parts that are binary are kept in base64, so that every FETCH can show them."""
    if not any(b"\0" in block for block in content.chunks()):
        return content
    data = content.bytes()
    changed = encoded(data)
    if changed is data:
        return content
    new = Content(session.services.spool)
    new.write(changed)
    return new


def _messages(session: Session, messages: tuple[c.AppendMessage, ...], place: Place) -> list[NewMessage]:
    """Their bytes are in session.contents. Flags that may not be set there are left out, and nothing is said of them
    (RFC 4314 4).
    """
    place.require(Rights.INSERT)  # again: pieces may have taken their time
    rights = place.rights
    found = []
    for message, content in zip(messages, session.contents, strict=True):
        named, keywords = split_flags(message.flags)
        flags = Flags(int(named) & changeable(rights))
        kept = keywords if Rights.WRITE in rights else frozenset()
        found.append(NewMessage(content, flags=flags, keywords=kept, internal_date=message.date))
    return found


def _code(done: Appended) -> str:
    return f"[APPENDUID {done.uid_validity} {compact(done.uids).decode()}]"


async def append(session: Session, command: c.Append) -> str:
    """All or none. The messages' bytes are in session.contents."""
    _look(session, command.messages)
    place = await target(session, command.mailbox)
    await _assemble(session, command.messages)
    messages = _messages(session, command.messages, place)
    done = await _append(session, place, messages)
    await teach_append(session, place, done.uids)
    await after_append(session, place, done.uids)
    return f"{_code(done)} Appended"


async def _append(session: Session, place: Place, messages: list[NewMessage]) -> Appended:
    """Another's account is kept open meanwhile."""
    account = place.account
    account.hold()
    try:
        done = await account.append_all(place.name, messages)
    except NoSuchMailbox:
        raise missing(place) from None
    finally:
        account.let_go()
        session.forget_contents()
    session.did_itself(place, done.uids)
    return done


async def replace(session: Session, command: c.Replace) -> str:
    """The old message goes when the new one is there; in one step where both are in one account."""
    _look(session, (command.message,))
    selected = session.box
    if selected.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    if REMOVING not in selected.rights:
        raise not_allowed()
    place = await target(session, command.mailbox)
    await _assemble(session, (command.message,))
    new = _messages(session, (command.message,), place)[0]
    uids = selected.choose(command.set, uid=command.uid)
    if len(uids) != 1:
        raise no("There is no such message", "NONEXISTENT")
    try:
        if selected.in_account(place):
            done = await selected.mailbox.replace(uids[0], place.name, new)
            session.did_itself(place, done.uids)
        else:
            if selected.mailbox.position(uids[0]) is None:
                raise MessageGone
            done = await _append(session, place, [new])
            if REMOVING not in selected.rights:
                raise not_allowed()  # taken back meanwhile
            await selected.mailbox.expunge(uids, force=True, keep=False)
    except NoSuchMailbox:
        raise missing(place) from None
    except MessageGone:
        raise no("The message was removed meanwhile", "EXPUNGEISSUED") from None
    # RFC 8508 3.4: APPENDUID goes before the EXPUNGE response.
    session.write(f"* OK {_code(done)} The new message\r\n".encode())
    await after_append(session, place, done.uids)
    return "Replaced"
