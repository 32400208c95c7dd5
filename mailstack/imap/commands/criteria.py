"""Which messages match a SEARCH key (RFC 9051 6.4.4): exact, by the store's arrays first and the messages' text last."""

from __future__ import annotations

import calendar
from collections.abc import Callable

from mailstack.imap.commands.matching import header_contains, sent_date, text_contains
from mailstack.imap.selected import Selected
from mailstack.message.flag import Flags
from mailstack.wire.imap import search as s

DAY = 86400


def _cost(key: s.Key) -> int:
    match key:
        case s.Body() | s.Text():
            return 3
        case s.Header():
            return 2
        case s.Date(kind=s.DateKind.SENT):
            return 2
        case s.Not(child):
            return _cost(child)
        case s.Or(left, right):
            return max(_cost(left), _cost(right))
        case s.And(keys):
            return max((_cost(child) for child in keys), default=0)
        case _:
            return 1


async def evaluate(selected: Selected, key: s.Key, uids: list[int]) -> set[int]:
    """Those of `uids` that match."""
    mailbox = selected.mailbox
    match key:
        case s.And(keys):
            for child in sorted(keys, key=_cost):
                uids = sorted(await evaluate(selected, child, uids))
                if not uids:
                    break
            return set(uids)
        case s.Or(left, right):
            first, second = sorted((left, right), key=_cost)
            found = await evaluate(selected, first, uids)
            return found | await evaluate(selected, second, [uid for uid in uids if uid not in found])
        case s.Not(child):
            return set(uids) - await evaluate(selected, child, uids)
        case s.Body(text):
            results = await mailbox.map(uids, lambda data: text_contains(data, text, with_headers=False))
            return {uid for uid, matches in results.items() if matches}
        case s.Text(text):
            results = await mailbox.map(uids, lambda data: text_contains(data, text, with_headers=True))
            return {uid for uid, matches in results.items() if matches}
        case s.Header(name, text):
            results = await mailbox.map(uids, lambda data: header_contains(data, name, text), header=True)
            return {uid for uid, matches in results.items() if matches}
        case s.Date(kind=s.DateKind.SENT, comparison=comparison, day=day):
            days = await mailbox.map(uids, sent_date, header=True)
            wanted = calendar.timegm(day.timetuple()) // DAY
            return {uid for uid, sent in days.items() if sent is not None and _compare(sent, comparison, wanted)}
        case s.Uids(numbers):
            return set(selected.choose(numbers, uid=True)) & set(uids)
        case s.Numbers(numbers):
            if numbers.saved:
                return set(selected.choose(numbers, uid=False)) & set(uids)
            # A number that no message has is no mistake here: a client may look for what it thinks is there.
            return {selected.uids[number - 1] for number in numbers.existing(len(selected.uids))} & set(uids)
        case _:
            test = _test(selected, key)
            return {uid for uid in uids if (place := mailbox.position(uid)) is not None and test(place)}


def _compare(day: int, comparison: s.Comparison, wanted: int) -> bool:
    if comparison is s.Comparison.BEFORE:
        return day < wanted
    return day >= wanted if comparison is s.Comparison.SINCE else day == wanted


def _test(selected: Selected, key: s.Key) -> Callable[[int], bool]:
    """A test by position, for keys that the arrays answer."""
    mailbox = selected.mailbox
    flags, sizes, dates, modseqs, uids = mailbox.flags, mailbox.sizes, mailbox.dates, mailbox.modseqs, mailbox.uids
    match key:
        case s.HasFlag(flag):
            bit = int(flag)
            return lambda place: bool(flags[place] & bit)
        case s.HasKeyword(keyword):
            wanted = keyword.lower()
            numbers = [number for number, name in enumerate(mailbox.keywords) if name is not None and name.lower() == wanted]
            mask = 1 << 8 + numbers[0] if numbers else 0
            return lambda place: bool(flags[place] & mask)
        case s.Recent(new):
            seen = int(Flags.SEEN) if new else 0
            return lambda place: selected.recent(uids[place]) and not flags[place] & seen
        case s.Date(comparison=comparison, day=day):
            start = calendar.timegm(day.timetuple()) // DAY
            return lambda place: _compare(dates[place] // DAY, comparison, start)
        case s.Larger(size):
            return lambda place: sizes[place] > size
        case s.Smaller(size):
            return lambda place: sizes[place] < size
        case s.ModSeq(value):
            return lambda place: modseqs[place] >= value
        case _:
            raise AssertionError(f"no test for {type(key).__name__}")
