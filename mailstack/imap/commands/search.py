"""SEARCH (RFC 9051 6.4.4, RFC 4731, RFC 5182). `criteria` says what matches, `results` what is answered."""

from mailstack.imap.commands import context, results
from mailstack.imap.limiting import last_of, searched
from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.search import Return, Returns


async def search(session: Session, command: c.Search) -> str:
    going = await context.begin(session, command.key, command.returns)
    key, returns = going.key, command.returns
    limit = session.services.message_limit
    within, code = (None, None) if limit is None else last_of(searched(session.box, key), limit)
    found = await results.found(session, key, returns, within)
    if returns is None and session.rev1:
        session.write(await results.plain(session, b"SEARCH", found, uid=command.uid, key=key))
    else:
        await results.extended(session, found, returns or Returns(Return.ALL), uid=command.uid, key=key)
        going.keep(found, uid=command.uid)
    return "SEARCH done" if code is None else f"[{code}] SEARCH done in the last messages"
