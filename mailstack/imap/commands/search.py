"""SEARCH (RFC 9051 6.4.4, RFC 4731, RFC 5182). `criteria` says what matches, `results` what is answered."""

from mailstack.imap.commands import results
from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.search import Return, Returns


async def search(session: Session, command: c.Search) -> str:
    key, returns = command.key, command.returns
    found = await results.found(session, key, returns)
    if returns is None and session.rev1:
        session.write(await results.plain(session, b"SEARCH", found, uid=command.uid, key=key))
    else:
        await results.extended(session, found, returns or Returns(Return.ALL), uid=command.uid, key=key)
    return "SEARCH done"
