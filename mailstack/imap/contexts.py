"""Searches that go on (RFC 5267 4.3): what comes into their results, or leaves them, is told by ADDTO and REMOVEFROM.

Rule: a context's list is what the client's is. What may have changed is gathered as it happens and looked at when the session
may speak: behind EXISTS and FETCH, and before EXPUNGE, because numbers must still be true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.store.mailbox.values import Change, FlagsChanged, MessagesAdded, MessagesExpunged
from mailstack.wire.imap.sequence import compact

if TYPE_CHECKING:
    from mailstack.imap.selected import Selected

LIMIT = 16
Found = Awaitable[Sequence[int]]


@dataclass(slots=True)
class Context:
    """One search. Messages are known by their UIDs here."""

    tag: bytes
    correlator: bytes  # of its ESEARCH responses
    uid: bool
    matching: Callable[[Sequence[int]], Found]  # those of ascending UIDs that match
    in_order: Callable[[Sequence[int]], Found] | None  # None for the order of the mailbox
    found: list[int]


class Contexts:
    """Those of one selected mailbox."""

    __slots__ = ("_by_tag", "_gone", "_unsettled")

    def __init__(self) -> None:
        self._by_tag: dict[bytes, Context] = {}
        self._unsettled: set[int] = set()
        self._gone: set[int] = set()

    def __contains__(self, tag: bytes) -> bool:
        return tag in self._by_tag

    @property
    def full(self) -> bool:
        return len(self._by_tag) >= LIMIT

    @property
    def has_news(self) -> bool:
        return bool(self._by_tag and (self._unsettled or self._gone))

    def add(self, context: Context) -> None:
        self._by_tag[context.tag] = context

    def cancel(self, tag: bytes) -> None:
        del self._by_tag[tag]

    def missed(self, unsettled: set[int], gone: set[int]) -> None:
        """What happened before it could be heard."""
        self._unsettled |= unsettled
        self._gone |= gone

    def hear(self, change: Change) -> None:
        if not self._by_tag:
            return
        match change:
            case MessagesAdded(uids) | FlagsChanged(uids):
                self._unsettled.update(uids)
            case MessagesExpunged(uids):
                self._gone.update(uids)

    def expunged(self, selected: Selected, uids: Iterable[int]) -> list[bytes]:
        """REMOVEFROM for messages whose EXPUNGE is about to be told."""
        gone = set(uids)
        self._gone -= gone
        self._unsettled -= gone
        lines = []
        for context in self._by_tag.values():
            items = _removed(selected, context, gone)
            if items:
                lines.append(_line(context, items))
        return lines

    async def settle(self, selected: Selected) -> list[bytes]:
        """What changed in the results among the messages that the client knows of."""
        unsettled, gone = self._unsettled, self._gone
        self._unsettled, self._gone = set(), set()
        places = selected.mailbox.position
        known = [uid for uid in sorted(unsettled) if selected.number(uid) is not None and places(uid) is not None]
        # Those that the client was not told of yet are looked at when it is.
        self._unsettled |= {uid for uid in unsettled if selected.number(uid) is None and places(uid) is not None}
        lines = []
        try:
            for context in list(self._by_tag.values()):
                items = await _changed(selected, context, known, gone)
                if items:
                    lines.append(_line(context, items))
        except BaseException:
            self._unsettled |= unsettled
            self._gone |= gone
            raise
        return lines


async def _changed(selected: Selected, context: Context, known: Sequence[int], gone: set[int]) -> bytes:
    matching = set(await context.matching(known)) if known else set()
    had = set(context.found)
    leaving = {uid for uid in known if uid in had and uid not in matching} | gone
    new = {uid for uid in known if uid in matching and uid not in had}
    everything: Sequence[int] = sorted(had.difference(leaving) | new)
    if new and context.in_order is not None:
        everything = await context.in_order(everything)
        # Some may have gone meanwhile: they have no place any more.
        leaving |= had.difference(everything)
        new.intersection_update(everything)
    items = _removed(selected, context, leaving)
    if new:
        context.found = list(everything)
        items += b" ADDTO (" + _pairs(selected, context, new, added=True) + b")"
    return items


def _removed(selected: Selected, context: Context, uids: set[int]) -> bytes:
    leaving = uids.intersection(context.found)
    if not leaving:
        return b""
    items = b" REMOVEFROM (" + _pairs(selected, context, leaving, added=False) + b")"
    context.found = [uid for uid in context.found if uid not in leaving]
    return items


def _pairs(selected: Selected, context: Context, uids: set[int], *, added: bool) -> bytes:
    """Positions with the messages there (RFC 5267 4.3.3, 4.3.4). What is added is placed from the front, what is removed from
    the back, so that each position is true when its pair is read.
    """
    if context.in_order is None:
        return b"0 " + _shown(selected, context, sorted(uids))
    runs: list[tuple[int, list[int]]] = []
    for position, uid in enumerate(context.found, 1):
        if uid not in uids:
            continue
        if runs and runs[-1][0] + len(runs[-1][1]) == position:
            runs[-1][1].append(uid)
        else:
            runs.append((position, [uid]))
    ordered = runs if added else reversed(runs)
    return b" ".join([b"%d %b" % (position, _shown(selected, context, members)) for position, members in ordered])


def _shown(selected: Selected, context: Context, uids: Sequence[int]) -> bytes:
    return compact(uids if context.uid else [number for uid in uids if (number := selected.number(uid))])


def _line(context: Context, items: bytes) -> bytes:
    return b"* ESEARCH " + context.correlator + (b" UID" if context.uid else b"") + items + b"\r\n"
