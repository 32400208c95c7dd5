"""How often somebody may ask: a bucket for each, which fills again with time."""

import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 20_000


class Pace:
    """`burst` at once, then `per_minute`."""

    def __init__(self, burst: int, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._second = per_minute / 60.0
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, who: str) -> bool:
        """Whether one more is in order, which then counts."""
        now = self._clock()
        left, before = self._left.pop(who, (self._burst, now))
        left = min(self._burst, left + (now - before) * self._second)
        self._left[who] = (left - 1.0 if left >= 1.0 else left, now)
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1.0
