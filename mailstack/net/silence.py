"""Name servers that don't answer: who waited for them once need not be waited for again with each question.

A question that has no answer after some seconds is a sign; the next ones are given less time, until any answer comes. What got
none, or only SERVFAIL, is not asked again at once (RFC 2308 7).
"""

import time
from collections import OrderedDict
from collections.abc import Callable

SIGN_SECONDS = 2.5  # without an answer: the sign
DOUBT_SECONDS, SILENT_SECONDS = 1.5, 0.3  # for a question after one sign, and after several
SEVERAL = 3
MEMORY_SECONDS = 0.0001  # no name server is as quick
TROUBLE_SECONDS = 15.0  # how long it is believed that a question gets no answer
LIMIT = 5000


class Silence:
    """Of one set of name servers. Times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._signs = 0
        self._troubled: OrderedDict[tuple[str, str], float] = OrderedDict()

    @property
    def patience(self) -> float | None:
        """How long to wait for the next answer; None: as long as usual."""
        if self._signs == 0:
            return None
        return DOUBT_SECONDS if self._signs < SEVERAL else SILENT_SECONDS

    def answered(self, since: float) -> None:
        """Somebody is there, whatever he said; what comes at once came from memory."""
        if self._clock() - since > MEMORY_SECONDS:
            self._signs = 0

    def unanswered(self, since: float) -> None:
        """A question that was put at `since` was given up."""
        if self._signs or self._clock() - since >= SIGN_SECONDS:
            self._signs += 1

    def troubled(self, name: str, kind: str) -> bool:
        """Whether this question got no answer just now."""
        until = self._troubled.get((name, kind))
        return until is not None and self._clock() < until

    def trouble(self, name: str, kind: str) -> None:
        self._troubled[name, kind] = self._clock() + TROUBLE_SECONDS
        self._troubled.move_to_end((name, kind))
        if len(self._troubled) > LIMIT:
            self._troubled.popitem(last=False)
