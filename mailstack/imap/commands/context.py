"""UPDATE and CANCELUPDATE (RFC 5267 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.imap.answers import bad
from mailstack.imap.commands.criteria import evaluate
from mailstack.imap.commands.filters import expanded
from mailstack.imap.contexts import Context, Contexts
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.store.mailbox.orders import Program
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import search as s
from mailstack.wire.imap.search import Return, Returns
from mailstack.wire.imap.sequence import SequenceSet, runs


@dataclass(frozen=True, slots=True)
class Going:
    """A search with or without UPDATE. Its key is to be searched by; `since` is how far changes were known when it began."""

    session: Session
    key: s.Key
    expanded: s.Key  # the same, with numbers as they are in each mailbox
    updates: bool
    since: int

    def keep(self, found: Sequence[int], *, uid: bool, program: Program = (), more: bytes = b"") -> None:
        """After the answer: go on, if UPDATE asks for it. `more` stands in the correlator behind the tag."""
        if not self.updates:
            return
        session, key = self.session, self.key
        selected, tag = session.box, session.connection.current_tag
        contexts = selected.contexts = selected.contexts or Contexts()
        if contexts.full or s.is_fuzzy(key):
            self.refuse()
            return
        mailbox = selected.mailbox

        async def matching(uids: Sequence[int]) -> Sequence[int]:
            return await evaluate(selected, key, uids)

        async def in_order(uids: Sequence[int]) -> Sequence[int]:
            return await mailbox.orders.in_order(mailbox, uids, program)

        correlator = b'(TAG "%b"%b)' % (tag, more)
        contexts.add(Context(tag, correlator, uid, matching, in_order if program else None, list(found)))
        # What happened while the search was under way, nobody has heard yet.
        since = self.since
        changed = {one for one, modseq in zip(mailbox.uids, mailbox.modseqs, strict=True) if modseq > since}
        contexts.missed(changed, set(found).difference(mailbox.uids))

    def refuse(self) -> None:
        """RFC 5267 4.3.1."""
        if self.updates:
            self.session.write(b'* NO [NOUPDATE "%b"] This search does not go on\r\n' % self.session.connection.current_tag)


async def begin(session: Session, key: s.Key, returns: Returns | None) -> Going:
    """Before the search: a tag that is in use by another that goes on is BAD (RFC 5267 4.3)."""
    selected = session.selected
    try:
        key = await expanded(session, key)
    except Exception:
        if selected is not None:
            selected.search_failed(saves=returns is not None and Return.SAVE in returns.options)
        raise
    if returns is None or Return.UPDATE not in returns.options:
        return Going(session, key, key, False, 0)
    if selected is None:
        raise bad("UPDATE is for a selected mailbox")
    if selected.contexts is not None and session.connection.current_tag in selected.contexts:
        raise bad("That tag is in use by a search that goes on")
    return Going(session, _fixed(selected, key, session.services.clock()), key, True, selected.mailbox.highest_modseq)


def _fixed(selected: Selected, key: s.Key, now: float) -> s.Key:
    """Numbers, `$` and ages are what they were when the command came (RFC 5267 4.3)."""

    def change(one: s.Key) -> s.Key:
        match one:
            case s.Numbers(numbers) if not numbers.saved:
                found = [selected.uids[number - 1] for number in sorted(numbers.existing(len(selected.uids)))]
                return s.Uids(SequenceSet(tuple(runs(found))))
            case s.Numbers(numbers) | s.Uids(numbers) if numbers.saved:
                return s.Uids(SequenceSet(tuple(runs(selected.choose(numbers, uid=True)))))
            case _:
                return one

    return s.replaced(s.resolved(key, now), change)


async def cancel_update(session: Session, command: c.CancelUpdate) -> str:
    contexts = session.box.contexts
    tags = dict.fromkeys(tag.encode("utf-8") for tag in command.tags)
    if contexts is None or not all(tag in contexts for tag in tags):
        raise bad("No search of that tag goes on")
    for tag in tags:
        contexts.cancel(tag)
    return "CANCELUPDATE done"
