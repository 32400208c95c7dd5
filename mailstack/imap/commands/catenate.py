"""A message put together of new text and of pieces of messages that are here (RFC 4469)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailstack.imap.answers import Refused, no
from mailstack.imap.commands.stretches import find_stretch
from mailstack.imap.places import find
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.rights import Rights
from mailstack.store.content import BLOCK, Content
from mailstack.store.errors import MessageGone, NoSuchMailbox
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap.catenate import CatText, CatUrl
from mailstack.wire.imap.commands import AppendMessage
from mailstack.wire.imap.url import MessageUrl, parse_url

if TYPE_CHECKING:
    from mailstack.imap.session import Session

IN_MEMORY = 512 * 1024  # octets of the whole that are not put into a file


async def assembled(session: Session, message: AppendMessage, texts: Iterator[Content]) -> Content:
    """The whole, piece by piece; `texts` are those of the command, in order."""
    whole = Content(session.services.spool, IN_MEMORY)
    try:
        for part in message.parts:
            match part:
                case CatText():
                    text = next(texts)
                    _fits(session, whole, text.size)
                    await asyncio.to_thread(_copy, text, whole)
                case CatUrl(url):
                    await _from_url(session, url, whole)
    except BaseException:
        whole.close()
        raise
    return whole


def _copy(text: Content, whole: Content) -> None:
    for block in text.chunks():
        whole.write(block)


def _fits(session: Session, whole: Content, more: int) -> None:
    if whole.size + more > session.services.message_size:
        raise no("The message is too large", "TOOBIG")


def _bad_url(url: str) -> Refused:
    shown = "".join(letter if letter.isprintable() and letter.isascii() and letter not in '"\\]' else "?" for letter in url)
    return no("That part can't be had", f"BADURL {shown[:500] or '?'}")


async def _from_url(session: Session, url: str, whole: Content) -> None:
    """Raises NO [BADURL]: whatever is wrong, it names the URL (RFC 4469 4)."""
    try:
        found = parse_url(url)
        mailbox = await _mailbox(session, found)
    except (SyntaxProblem, NoSuchMailbox, Refused):
        raise _bad_url(url) from None
    try:
        await _take(session, mailbox, found, url, whole)
    except MessageGone:
        raise _bad_url(url) from None
    finally:
        mailbox.release()


async def _mailbox(session: Session, url: MessageUrl) -> Mailbox:
    """To be released."""
    known = session.known.address
    if url.host is not None and (url.host != session.services.hostname.lower() or (url.user or known) != known):
        raise NoSuchMailbox
    if url.mailbox is not None:
        return await (await find(session, url.mailbox)).open(Rights.READ)
    if session.selected is None or Rights.READ not in session.selected.rights:
        raise NoSuchMailbox
    session.selected.mailbox.users += 1
    return session.selected.mailbox


async def _take(session: Session, mailbox: Mailbox, found: MessageUrl, url: str, whole: Content) -> None:
    stretch = await find_stretch(mailbox, found)
    if stretch is None:
        raise _bad_url(url)
    if isinstance(stretch, bytes):
        _fits(session, whole, len(stretch))
        whole.write(stretch)
        return
    length = stretch.end - stretch.start
    _fits(session, whole, length)
    async for block in mailbox.blocks(found.uid, stretch.start, length):
        if whole.size + len(block) > BLOCK:
            await asyncio.to_thread(whole.write, block)
        else:
            whole.write(block)
