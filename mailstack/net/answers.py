"""Answers of the DNS as plain values, kept as long as they are good: what many messages ask again costs a look into a table.

What is concluded from answers is kept beside them, under a kind of its own, as long as all of them are good.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

LIMIT = 10_000
LARGEST = 8192  # characters of one answer
NOTHING_SECONDS = 30.0  # how long it is believed that there is nothing
LONGEST_SECONDS = 3600.0


class Answers:
    """By name and kind; the one that was not asked for longest goes first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, tuple[str, ...]]] = OrderedDict()

    def get(self, name: str, kind: str) -> tuple[str, ...] | None:
        """The values; empty where there is nothing, None where it is not known (any more)."""
        found = self._kept.get((name, kind))
        if found is None or found[0] < self._clock():
            return None
        self._kept.move_to_end((name, kind))
        return found[1]

    def good_for(self, name: str, kind: str) -> float:
        """Seconds for which what is kept holds; 0.0 where nothing is."""
        found = self._kept.get((name, kind))
        return max(found[0] - self._clock(), 0.0) if found is not None else 0.0

    def put(self, name: str, kind: str, values: tuple[str, ...], seconds: float) -> None:
        """Keep what is good for so long; nothing, where the values are empty, half a minute at most; never what is large."""
        if sum(map(len, values)) > LARGEST:
            self._kept.pop((name, kind), None)
            return
        longest = LONGEST_SECONDS if values else NOTHING_SECONDS
        self._kept[name, kind] = (self._clock() + min(seconds, longest), values)
        if len(self._kept) > LIMIT:
            self._kept.popitem(last=False)
