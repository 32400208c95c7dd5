"""Search keys that one of a mailbox's arrays answers: which array, and the test of its values."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence

from mailstack.imap.selected import Selected
from mailstack.message.flag import Flags
from mailstack.wire.imap import search as s

DAY = 86400


def column_of(selected: Selected, key: s.Key) -> tuple[Sequence[int], Callable[[int], bool]]:
    """Positions in the array are valid until the next await."""
    mailbox = selected.mailbox
    match key:
        case s.HasFlag(flag):
            bit = int(flag)
            return mailbox.flags, lambda flags: bool(flags & bit)
        case s.HasKeyword(keyword):
            wanted = keyword.lower()
            numbers = [number for number, name in enumerate(mailbox.keywords) if name is not None and name.lower() == wanted]
            mask = 1 << 8 + numbers[0] if numbers else 0
            return mailbox.flags, lambda flags: bool(flags & mask)
        case s.Recent(new):
            return _recent(selected, new)
        case s.Date(kind=s.DateKind.SAVED, comparison=comparison, day=day):
            return _save_dates(selected), _on_day(comparison, calendar.timegm(day.timetuple()))
        case s.Arrived(moment, until):
            return mailbox.dates, lambda date: date <= moment if until else date >= moment
        case s.Date(comparison=comparison, day=day):
            return mailbox.dates, _on_day(comparison, calendar.timegm(day.timetuple()))
        case s.Larger(size):
            return mailbox.sizes, lambda octets: octets > size
        case s.Smaller(size):
            return mailbox.sizes, lambda octets: octets < size
        case s.ModSeq(value):
            return mailbox.modseqs, lambda modseq: modseq >= value
        case _:
            raise AssertionError(f"no test for {type(key).__name__}")


def _save_dates(selected: Selected) -> Sequence[int]:
    """RFC 8514 4.3: where it is not known when a message was saved, its internal date stands for it."""
    mailbox = selected.mailbox
    if 0 not in mailbox.save_dates:
        return mailbox.save_dates
    return [saved or date for saved, date in zip(mailbox.save_dates, mailbox.dates, strict=True)]


def _recent(selected: Selected, new: bool) -> tuple[Sequence[int], Callable[[int], bool]]:
    mailbox = selected.mailbox
    if not new:
        return mailbox.uids, selected.recent

    def unseen(uid: int) -> bool:
        place = mailbox.position(uid)
        return selected.recent(uid) and place is not None and not mailbox.flags[place] & Flags.SEEN

    return mailbox.uids, unseen


def _on_day(comparison: s.Comparison, start: int) -> Callable[[int], bool]:
    """`start` is the first second of the day."""
    if comparison is s.Comparison.BEFORE:
        return lambda date: date < start
    if comparison is s.Comparison.SINCE:
        return lambda date: date >= start
    return lambda date: start <= date < start + DAY
