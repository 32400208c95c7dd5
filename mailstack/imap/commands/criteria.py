"""Which messages match a SEARCH key (RFC 9051 6.4.4): exact, by the store's arrays first and the messages' text last."""

from __future__ import annotations

import asyncio
import calendar
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from mailstack.imap.commands.columns import column_of
from mailstack.imap.commands.fuzzy import scores
from mailstack.imap.selected import Selected
from mailstack.message.collation import casemap
from mailstack.store.fulltext.questions import AnyCriterion, Comparison, InBody, InField, InText, Sent
from mailstack.wire.imap import search as s

T = TypeVar("T")
AT_ONCE = 16384  # messages that are looked at before others get their turn
COMPARISONS = {
    s.Comparison.BEFORE: Comparison.BEFORE,
    s.Comparison.ON: Comparison.ON,
    s.Comparison.SINCE: Comparison.SINCE,
}


def _cost(key: s.Key) -> int:
    match key:
        case s.Body() | s.Text():
            return 3
        case s.Header() | s.ThreadId():
            return 2
        case s.Date(kind=s.DateKind.SENT):
            return 2
        case s.Not(child):
            return _cost(child)
        case s.Fuzzy(child):
            return _cost(child) + 1
        case s.Or(left, right):
            return max(_cost(left), _cost(right))
        case s.And(keys):
            return max((_cost(child) for child in keys), default=0)
        case _:
            return 1


async def evaluate(selected: Selected, key: s.Key, uids: Sequence[int]) -> Sequence[int]:
    """Those of `uids`, which ascend, that match, ascending."""
    match key:
        case s.And(keys):
            for child in sorted(keys, key=_cost):
                if not uids:
                    break
                uids = await evaluate(selected, child, uids)
            return uids
        case s.Or(left, right):
            first, second = sorted((left, right), key=_cost)
            found = await evaluate(selected, first, uids)
            more = await evaluate(selected, second, await _without(uids, found))
            return sorted([*found, *more])
        case s.Not(child):
            return await _without(uids, await evaluate(selected, child, uids))
        case s.Fuzzy(child):
            return sorted(await scores(evaluate, selected, child, uids))
        case s.ThreadId(id):
            ids = await selected.mailbox.thread_ids(uids)
            return [uid for uid in uids if ids.get(uid) == id]
        case s.EmailId(id):
            return _by_object_id(selected, id, uids)
        case s.Uids(numbers):
            return await _both(uids, selected.choose(numbers, uid=True))
        case s.Numbers(numbers):
            if numbers.saved:
                return await _both(uids, selected.choose(numbers, uid=False))
            # A number that no message has is no mistake here: a client may look for what it thinks is there.
            return await _both(uids, [selected.uids[number - 1] for number in numbers.existing(len(selected.uids))])
        case _:
            criterion = _criterion(key)
            if criterion is not None:
                return await selected.mailbox.find(criterion, uids, selected.progress)
            return await _by_column(selected, key, uids)


async def _both(uids: Sequence[int], chosen: Iterable[int]) -> list[int]:
    wanted, both = set(chosen), []
    for first in range(0, len(uids), AT_ONCE):
        both += [uid for uid in uids[first : first + AT_ONCE] if uid in wanted]
        await asyncio.sleep(0)
    return both


async def _without(uids: Sequence[int], found: Iterable[int]) -> list[int]:
    unwanted, left = set(found), []
    for first in range(0, len(uids), AT_ONCE):
        left += [uid for uid in uids[first : first + AT_ONCE] if uid not in unwanted]
        await asyncio.sleep(0)
    return left


def _criterion(key: s.Key) -> AnyCriterion | None:
    """What is to be found in texts; None where the arrays have the answer."""
    match key:
        case s.Text(text):
            return InText(casemap(text))
        case s.Body(text):
            return InBody(casemap(text))
        case s.Header(name, text):
            return InField(casemap(name), casemap(text))
        case s.Date(kind=s.DateKind.SENT, comparison=comparison, day=day):
            return Sent(COMPARISONS[comparison], calendar.timegm(day.timetuple()) // 86400)
        case _:
            return None


def _by_object_id(selected: Selected, id: bytes, uids: Sequence[int]) -> list[int]:
    mailbox = selected.mailbox
    return [uid for uid in uids if (place := mailbox.position(uid)) is not None and mailbox.object_id(place) == id]


async def _by_column(selected: Selected, key: s.Key, uids: Sequence[int]) -> list[int]:
    """By one of the mailbox's arrays, some thousand messages at a time."""
    found: list[int] = []
    for first in range(0, len(uids), AT_ONCE):
        if first:
            await asyncio.sleep(0)
        column, test = column_of(selected, key)
        found += _where(selected, uids[first : first + AT_ONCE], column, test)
    return found


def _where(selected: Selected, uids: Sequence[int], column: Sequence[T], test: Callable[[T], bool]) -> list[int]:
    everything = selected.mailbox.uids
    first = bisect_left(everything, uids[0])
    last = first + len(uids)
    if last <= len(everything) and everything[last - 1] == uids[-1]:
        # None between the first and the last is missing.
        return [uid for uid, value in zip(uids, column[first:last], strict=True) if test(value)]
    position = selected.mailbox.position
    return [uid for uid in uids if (place := position(uid)) is not None and test(column[place])]
