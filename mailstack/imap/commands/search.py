"""SEARCH and what it answers (RFC 9051 6.4.4, RFC 4731, RFC 5182); `criteria.evaluate` says what matches."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mailstack.imap.commands.criteria import evaluate
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import search as s
from mailstack.wire.imap.search import Return
from mailstack.wire.imap.sequence import compact


async def search(session: Session, command: c.Search) -> str:
    selected = session.box
    if s.needs_modseq(command.key):
        session.enable_condstore()
    returns = command.returns
    if returns is not None and Return.SAVE in returns:
        selected.saved = array("I")  # what a search that fails leaves behind (RFC 5182 2.1)
    found = sorted(await evaluate(selected, command.key, list(selected.uids)))
    highest = _highest(selected, found) if s.needs_modseq(command.key) and found else None
    if returns is not None and Return.SAVE in returns:
        selected.saved = array("I", _saved(found, returns))
    shown: Sequence[int] = found if command.uid else [number for uid in found if (number := selected.number(uid))]
    if returns is None and session.rev1:
        more = b" (MODSEQ %d)" % highest if highest is not None else b""
        session.write(b"* SEARCH" + b"".join([b" %d" % one for one in shown]) + more + b"\r\n")
        return "SEARCH done"
    if returns == Return.SAVE:
        return "SEARCH done"
    returns = returns or Return.ALL
    tag = session.connection.current_tag
    line = b'* ESEARCH (TAG "%b")' % tag + (b" UID" if command.uid else b"")
    if shown and Return.MIN in returns:
        line += b" MIN %d" % shown[0]
    if shown and Return.MAX in returns:
        line += b" MAX %d" % shown[-1]
    if shown and Return.ALL in returns:
        line += b" ALL " + compact(shown)
    if Return.COUNT in returns:
        line += b" COUNT %d" % len(shown)
    if highest is not None:
        line += b" MODSEQ %d" % highest
    session.write(line + b"\r\n")
    return "SEARCH done"


def _saved(found: list[int], returns: Return) -> list[int]:
    """RFC 5182 2.4: with MIN or MAX alone, only these are kept."""
    if not found or returns & (Return.ALL | Return.COUNT) or not returns & (Return.MIN | Return.MAX):
        return found
    kept = ([found[0]] if Return.MIN in returns else []) + ([found[-1]] if Return.MAX in returns else [])
    return sorted(set(kept))


def _highest(selected: Selected, found: list[int]) -> int:
    mailbox = selected.mailbox
    return max((mailbox.modseqs[place] for uid in found if (place := mailbox.position(uid)) is not None), default=1)
