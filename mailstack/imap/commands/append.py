"""APPEND (RFC 9051 6.3.12), several messages at once (RFC 3502), and REPLACE (RFC 8508)."""

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.store import split_flags
from mailstack.imap.session import Session
from mailstack.store.errors import MessageGone, NoSuchMailbox
from mailstack.store.mailbox.values import Appended, NewMessage, Prepared
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact


def _messages(session: Session, messages: tuple[c.AppendMessage, ...]) -> list[NewMessage]:
    """Their bytes are in session.contents."""
    if len(session.contents) != len(messages):
        raise bad("A message comes as a literal")
    if any(message.size == 0 for message in messages):
        raise no("An empty message can't be stored", "CANNOT")
    found = []
    for message, content in zip(messages, session.contents, strict=True):
        flags, keywords = split_flags(message.flags)
        found.append(NewMessage(content, flags=flags, keywords=keywords, internal_date=message.date))
    return found


def _code(done: Appended) -> str:
    return f"[APPENDUID {done.uid_validity} {compact(done.uids).decode()}]"


async def append(session: Session, command: c.Append) -> str:
    """All or none. The messages' bytes are in session.contents."""
    messages = _messages(session, command.messages)
    account = session.mail
    prepared: list[Prepared] = []
    try:
        if len(messages) == 1:
            done = await account.append(command.mailbox, messages[0])
        else:
            for new in messages:
                prepared.append(await account.prepare(command.mailbox, new))
            done = await account.commit(prepared)
    except NoSuchMailbox:
        raise no("There is no such mailbox", "TRYCREATE") from None
    except BaseException:
        account.discard(prepared)
        raise
    finally:
        session.forget_contents()
    session.did_itself(command.mailbox, done.uids)
    return f"{_code(done)} Appended"


async def replace(session: Session, command: c.Replace) -> str:
    """The old message goes when the new one is there, in one step."""
    new = _messages(session, (command.message,))[0]
    if session.box.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    uids = session.box.choose(command.set, uid=command.uid)
    if len(uids) != 1:
        raise no("There is no such message", "NONEXISTENT")
    try:
        done = await session.box.mailbox.replace(uids[0], command.mailbox, new)
    except NoSuchMailbox:
        raise no("There is no such mailbox", "TRYCREATE") from None
    except MessageGone:
        raise no("The message was removed meanwhile", "EXPUNGEISSUED") from None
    session.did_itself(command.mailbox, done.uids)
    # RFC 8508 3.4: APPENDUID goes before the EXPUNGE response.
    session.write(f"* OK {_code(done)} The new message\r\n".encode())
    return "Replaced"
