"""What a search answers with (RFC 4731, RFC 5182, RFC 5267, RFC 9394): SEARCH, SORT and their extended forms share it."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence

from mailstack.imap.commands.criteria import evaluate
from mailstack.imap.commands.fuzzy import relevancy
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import search as s
from mailstack.wire.imap.search import Return, Returns
from mailstack.wire.imap.sequence import compact

Found = Sequence[int]  # UIDs
AT_ONCE = 8192  # numbers between two looks at the event loop


async def found(
    session: Session, key: s.Key, returns: Returns | None = None, within: Sequence[int] | None = None
) -> Sequence[int]:
    """The UIDs of those that match, ascending; of `within`, if only these are to be looked at."""
    selected = session.box
    if s.needs_modseq(key):
        session.enable_condstore()
    try:
        uids = selected.uids if within is None else within
        return await evaluate(selected, s.resolved(key, session.services.clock()), uids)
    except SyntaxProblem:
        raise  # BAD: `$` stays as it was
    except Exception:
        selected.search_failed(saves=returns is not None and Return.SAVE in returns.options)
        raise


async def plain(session: Session, name: bytes, uids: Found, *, uid: bool, key: s.Key) -> bytes:
    """SEARCH or SORT with its numbers; `uids` are in their order."""
    selected = session.box
    pieces = [b"* " + name]
    shown = await numbers(selected, uids, uid=uid)
    for first in range(0, len(shown), AT_ONCE):
        pieces.append(b"".join([b" %d" % one for one in shown[first : first + AT_ONCE]]))
        await asyncio.sleep(0)
    if s.needs_modseq(key) and uids:
        pieces.append(b" (MODSEQ %d)" % _highest(selected, uids))  # RFC 7162 3.1.5
    return b"".join([*pieces, b"\r\n"])


async def extended(session: Session, uids: Found, returns: Returns, *, uid: bool, key: s.Key) -> None:
    """Save what is to be saved, and tell the rest in an ESEARCH; `uids` are in their order."""
    save(session.box, uids, returns)
    if returns.options & ~(Return.UPDATE | Return.CONTEXT) == Return.SAVE:
        return
    line = await items(session, session.box, uids, returns, uid=uid, key=key)
    session.write(b'* ESEARCH (TAG "%b")' % session.connection.current_tag + line + b"\r\n")


def save(selected: Selected, uids: Found, returns: Returns) -> None:
    """For `$` (RFC 5182)."""
    if Return.SAVE in returns.options:
        selected.saved = array("I", sorted(set(_chosen(uids, returns))))


async def items(session: Session, selected: Selected, uids: Found, returns: Returns, *, uid: bool, key: s.Key) -> bytes:
    """What follows the correlator of an ESEARCH."""
    options = returns.options
    shown = await numbers(selected, uids, uid=uid)
    line = b" UID" if uid else b""
    if shown and Return.MIN in options:
        line += b" MIN %d" % shown[0]
    if shown and Return.MAX in options:
        line += b" MAX %d" % shown[-1]
    if shown and Return.ALL in options:
        line += b" ALL " + compact(shown)
    if returns.partial is not None:
        partial = returns.partial
        line += b" PARTIAL (%d:%d %b)" % (partial.first, partial.last, compact(partial.of(shown)) or b"NIL")
    if Return.COUNT in options:
        line += b" COUNT %d" % len(shown)
    if s.needs_modseq(key) and (chosen := _chosen(uids, returns)):
        line += b" MODSEQ %d" % _highest(selected, chosen)
    if Return.RELEVANCY in options:
        line += await _relevancy(selected, uids, returns, s.resolved(key, session.services.clock()))
    return line


async def _relevancy(selected: Selected, uids: Found, returns: Returns, key: s.Key) -> bytes:
    """RFC 6203 4: of the messages that the answer names."""
    shown = returns.partial.of(uids) if returns.partial is not None else uids
    scores = await relevancy(evaluate, selected, key, sorted(shown))
    return b" RELEVANCY (" + b" ".join([b"%d" % scores[uid] for uid in shown]) + b")"


async def numbers(selected: Selected, uids: Found, *, uid: bool) -> Sequence[int]:
    """What the client knows messages by; those that it was not told of are left out."""
    if uid:
        return uids
    view = selected.uids
    if len(uids) * 10 < len(view):
        return [number for one in uids if (number := selected.number(one))]
    places = dict(zip(view, range(1, len(view) + 1), strict=True))
    shown: list[int] = []
    for first in range(0, len(uids), AT_ONCE):
        await asyncio.sleep(0)
        shown += [number for one in uids[first : first + AT_ONCE] if (number := places.get(one))]
    return shown


def _chosen(uids: Found, returns: Returns) -> Sequence[int]:
    """What `$` stands for, and what MODSEQ is about (RFC 4731 3.2, RFC 5182 2.4, RFC 9394 3.2)."""
    options, partial = returns.options, returns.partial
    if options & (Return.ALL | Return.COUNT) or not options & (Return.MIN | Return.MAX | Return.PARTIAL):
        return uids
    chosen = list(partial.of(uids)) if partial is not None else []
    if Return.MIN in options:
        chosen += uids[:1]
    if Return.MAX in options:
        chosen += uids[-1:]
    return chosen


def _highest(selected: Selected, uids: Found) -> int:
    mailbox = selected.mailbox
    return max((mailbox.modseqs[place] for uid in uids if (place := mailbox.position(uid)) is not None), default=1)
