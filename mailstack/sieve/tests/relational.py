"""The match types :value and :count (RFC 5231)."""

import operator
from collections.abc import Callable, Sequence
from types import MappingProxyType

from mailstack.sieve.extension import Extension
from mailstack.sieve.matching import Matching, MatchType, Request
from mailstack.sieve.state import Run

Key = tuple[int, str]
_COMPARE: MappingProxyType[str, Callable[[Key, Key], bool]] = MappingProxyType(
    {
        "gt": operator.gt,
        "ge": operator.ge,
        "lt": operator.lt,
        "le": operator.le,
        "eq": operator.eq,
        "ne": operator.ne,
    }
)


def _compared(request: Request) -> Callable[[Run, Sequence[str]], bool]:
    compare, key_of = _COMPARE[request.relation], request.comparator.key

    def compared(run: Run, values: Sequence[str]) -> bool:
        keys = [key_of(key) for key in request.keys(run)]
        for value in values:
            run.spend((len(value) + 1) * len(keys))
            mine = key_of(value)
            if any(compare(mine, key) for key in keys):
                return True
        return False

    return compared


def _value(request: Request) -> Matching:
    return _compared(request)


def _count(request: Request) -> Matching:
    compared = _compared(request)
    return lambda run, values: compared(run, (str(len(values)),))


EXTENSION = Extension(
    "relational", matches={"value": MatchType(_value, relation=True), "count": MatchType(_count, relation=True)}
)
