"""GENURLAUTH, RESETKEY, URLFETCH (RFC 4467): an owner lets others fetch a message by a URL, where the settings allow it.

Rule: a URL that does not hold is answered NIL whatever is wrong with it, so that nobody learns what is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from mailstack.imap.answers import bad, no
from mailstack.imap.commands.literals import send_blocks
from mailstack.imap.commands.stretches import Stretch, find_stretch
from mailstack.imap.session import Session
from mailstack.message.errors import SyntaxProblem
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import literal, string, without_nul
from mailstack.wire.imap.urlauth import MECHANISM, Access, AuthorisedUrl, holds, parse_authorised, token


def _on(session: Session) -> None:
    if not session.services.urlauth:
        raise bad("URLAUTH is switched off")


async def generate(session: Session, command: c.GenUrlAuth) -> str:
    """Only for one's own mailboxes; all or none."""
    _on(session)
    made = [await _authorise(session, url, mechanism) for url, mechanism in command.urls]
    session.write(b"* GENURLAUTH " + b" ".join(string(url.encode()) for url in made) + b"\r\n")
    return "GENURLAUTH done"


async def _authorise(session: Session, text: str, mechanism: str) -> str:
    if mechanism.lower() != MECHANISM:
        raise no("There is no such URLAUTH mechanism", "CANNOT")
    try:
        url = parse_authorised(text)
    except SyntaxProblem as problem:
        raise bad(f"{problem.reason}") from None
    if url.token is not None:
        raise bad("The URL is authorised already")
    if url.owner != session.known.address or url.message.host != session.services.hostname.lower():
        raise no("Only the owner of a mailbox authorises its URLs", "NOPERM")
    key = await session.mail.url_keys.key(url.mailbox, make=True)
    assert key is not None
    return f"{text}:{MECHANISM}:{token(key, url.rump).hex()}"


async def reset(session: Session, command: c.ResetKey) -> str:
    _on(session)
    if any(name.lower() != MECHANISM for name in command.mechanisms):
        raise no("There is no such URLAUTH mechanism", "CANNOT")
    await session.mail.url_keys.reset(command.mailbox)
    return f"[URLMECH {MECHANISM.upper()}] URLs that were given out before mean nothing any more"


async def fetch(session: Session, command: c.UrlFetch) -> str:
    _on(session)
    for text in command.urls:
        shown = b"* URLFETCH " + string(text.encode()) + b" "
        account = await _owner(session, text)
        if account is None:
            session.write(shown + b"NIL\r\n")
            continue
        account.hold()
        try:
            await _tell(session, account, parse_authorised(text), shown)
        finally:
            account.let_go()
        await session.connection.drain()
    return "URLFETCH done"


async def _owner(session: Session, text: str) -> Account | None:
    """The account of a URL that holds, for this session; None for any other."""
    try:
        url = parse_authorised(text)
    except SyntaxProblem:
        return None
    services = session.services
    if url.message.host != services.hostname.lower() or not _may(session, url):
        return None
    if url.expires is not None and url.expires <= services.clock():
        return None
    record = (await services.directory.entry(url.owner)).account
    if record is None or record.disabled:
        return None
    try:
        account = await services.mailboxes.account(services.directory.folder(record))
        key = await account.url_keys.key(url.mailbox, make=False)
    except StoreProblem:
        return None
    return account if key is not None and holds(key, url) else None


def _may(session: Session, url: AuthorisedUrl) -> bool:
    """Nobody here is a submission server, which alone may use `submit+` (RFC 4467 3)."""
    match url.access:
        case Access.USER:
            return url.user == session.known.address
        case Access.ANY_USER | Access.ANYBODY:
            return True
        case Access.SUBMIT:
            return False


async def _tell(session: Session, account: Account, url: AuthorisedUrl, shown: bytes) -> None:
    try:
        mailbox = await account.open(url.mailbox)
    except StoreProblem:
        session.write(shown + b"NIL\r\n")
        return
    try:
        await _send(session, mailbox, url, shown)
    finally:
        mailbox.release()


async def _send(session: Session, mailbox: Mailbox, url: AuthorisedUrl, shown: bytes) -> None:
    try:
        found = await find_stretch(mailbox, url.message)
    except StoreProblem:
        found = None
    if found is None:
        session.write(shown + b"NIL\r\n")
    elif isinstance(found, bytes):
        session.write(shown + literal(found) + b"\r\n")
    else:
        await _stream(session, mailbox, url.message.uid, found, shown)


async def _stream(session: Session, mailbox: Mailbox, uid: int, found: Stretch, shown: bytes) -> None:
    size = found.end - found.start
    session.write(shown + b"{%d}\r\n" % size)
    await send_blocks(session, _shown(mailbox.blocks(uid, found.start, size)), size)
    session.write(b"\r\n")


async def _shown(blocks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(blocks):
        async for block in blocks:
            yield without_nul(block)
