"""Sets of UIDs or sequence numbers (RFC 9051 9, sequence-set)."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

_RANGE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?")
STAR = 0  # stands for `*`
HIGHEST = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges as they were written, `*` as 0; or the saved result of a search (`$`)."""

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def uids(self, existing: array[int]) -> array[int]:
        """Those of `existing` (ascending) that the set names, ascending, each once."""
        if not existing:
            return array("I")
        star = existing[-1]
        spans = []
        for first, last in self.ranges:
            low, high = sorted((first or star, last or star))
            start, end = bisect_left(existing, low), bisect_right(existing, high)
            if start < end:
                spans.append((start, end))
        if len(spans) == 1:
            return existing[spans[0][0] : spans[0][1]] if spans[0] != (0, len(existing)) else existing
        found = array("I")
        done = 0
        for start, end in sorted(spans):
            start = max(start, done)
            if start < end:
                found.extend(existing[start:end])
                done = end
        return found

    def within(self, highest: int) -> list[tuple[int, int]]:
        """The numbers from 1 to `highest`, which is `*`, that the set names: ranges in order that neither meet nor overlap."""
        found: list[tuple[int, int]] = []
        ends = [(first or highest, last or highest) for first, last in self.ranges] if highest else []
        for low, high in sorted((min(one), max(one)) for one in ends):
            high = min(high, highest)
            if found and low <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], high))
            elif low <= high:
                found.append((low, high))
        return found

    def positions(self, count: int) -> list[int]:
        """0-based positions for sequence numbers. Raises SyntaxProblem for a number that no message has (RFC 9051 9)."""
        found: set[int] = set()
        for first, last in self.ranges:
            low, high = sorted((first or count, last or count))
            if high > count or low < 1:
                raise SyntaxProblem("a sequence number is out of range")
            if len(self.ranges) == 1:
                return list(range(low - 1, high))
            found.update(range(low - 1, high))
        return sorted(found)

    def existing(self, count: int) -> set[int]:
        """Those of 1 to `count` that the set names."""
        found: set[int] = set()
        for first, last in self.ranges:
            low, high = sorted((first or count, last or count))
            found.update(range(max(1, low), min(high, count) + 1))
        return found

    def each(self, highest: int) -> Iterator[int]:
        """The numbers in their own order, as long as they are not above `highest`."""
        for first, last in self.ranges:
            for number in range(first, last + 1):
                if number > highest:
                    return
                yield number

    def contains(self, number: int, highest: int) -> bool:
        """Whether a number is in the set, `*` being `highest`."""
        for first, last in self.ranges:
            low, high = sorted((first or highest, last or highest))
            if low <= number <= high:
                return True
        return False


SAVED = SequenceSet((), saved=True)


def parse(data: bytes) -> SequenceSet:
    """`1:4,7,9:*` or `$`."""
    if data == b"$":
        return SAVED
    ranges = []
    for piece in data.split(b","):
        found = _RANGE.fullmatch(piece)
        if found is None:
            raise SyntaxProblem("not a sequence set")
        first = STAR if found[1] == b"*" else int(found[1])
        last = first if found[2] is None else STAR if found[2] == b"*" else int(found[2])
        if first > HIGHEST or last > HIGHEST:
            raise SyntaxProblem("a number in the sequence set is too large")
        ranges.append((first, last))
    return SequenceSet(tuple(ranges))


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers as ranges of neighbours, first and last."""
    start = previous = None
    for number in numbers:
        if previous is not None and number == previous + 1:
            previous = number
            continue
        if start is not None and previous is not None:
            yield start, previous
        start = previous = number
    if start is not None and previous is not None:
        yield start, previous


def gaps(existing: array[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """The numbers from `low` to `high` that are not in `existing` (ascending), as ranges."""
    place, end = bisect_left(existing, low), bisect_right(existing, high)
    while place < end:
        if existing[place] > low:
            yield low, existing[place] - 1
        # The run of neighbours that starts here: steps that double, then halve.
        step = 1
        while place + step < end and existing[place + step] - existing[place] == step:
            step *= 2
        first, last = step // 2, min(step, end - place)
        while last - first > 1:
            middle = (first + last) // 2
            if existing[place + middle] - existing[place] == middle:
                first = middle
            else:
                last = middle
        place += first
        low = existing[place] + 1
        place += 1
    if low <= high:
        yield low, high


def shown(ranges: Iterable[tuple[int, int]]) -> bytes:
    """Ranges as a set."""
    return b",".join([_piece(start, end) for start, end in ranges])


def compact(numbers: Iterable[int]) -> bytes:
    """Ascending numbers as the shortest set."""
    return shown(runs(numbers))


def compact_in_order(numbers: Iterable[int]) -> bytes:
    """Numbers in their own order, rising runs as ranges: COPYUID pairs them one by one."""
    return compact(numbers)


def _piece(start: int, end: int | None) -> bytes:
    return b"%d" % start if end is None or start == end else b"%d:%d" % (start, end)
