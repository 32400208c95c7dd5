"""APPEND (RFC 9051 6.3.12), several messages at once (RFC 3502)."""

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.store import split_flags
from mailstack.imap.session import Session
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.values import NewMessage, Prepared
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact


async def append(session: Session, command: c.Append) -> str:
    """All or none. The messages' bytes are in session.contents."""
    if len(session.contents) != len(command.messages):
        raise bad("APPEND needs its message as a literal")
    if any(message.size == 0 for message in command.messages):
        raise no("An empty message can't be stored", "CANNOT")
    account = session.mail
    messages = []
    for message, content in zip(command.messages, session.contents, strict=True):
        flags, keywords = split_flags(message.flags)
        messages.append(NewMessage(content, flags=flags, keywords=keywords, internal_date=message.date))
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
    return f"[APPENDUID {done.uid_validity} {compact(done.uids).decode()}] Appended"
