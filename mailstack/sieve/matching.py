"""Match types: whether one of some values matches one of some keys (RFC 5228 2.7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mailstack.sieve.comparator import Comparator
from mailstack.sieve.limits import Limits
from mailstack.sieve.questions import Asks
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking, Check
from mailstack.sieve.strings import Texts
from mailstack.sieve.wildcard import Wildcard


@dataclass(frozen=True, slots=True)
class AskingMatch:
    """A match that asks questions."""

    go: Callable[[Run, Sequence[str]], Asks[bool]]


TEST = 20  # what one comparison costs besides the characters it looks at
Matching = Callable[[Run, Sequence[str]], bool] | AskingMatch


@dataclass(frozen=True, slots=True)
class Request:
    """What a match is made of."""

    comparator: Comparator
    keys: Texts
    remembers: bool  # what wildcards matched is kept for variables (RFC 5229 3.2)
    relation: str  # of :value and :count
    limits: Limits
    line: int
    count: Callable[[int], None]  # of states that are kept with the script; raises SieveProblem where they are too many


@dataclass(frozen=True, slots=True)
class MatchType:
    """A match type; `relation` says that it has an argument of its own, `parts` that it needs a comparator of substrings."""

    build: Callable[[Request], Matching]
    relation: bool = False
    parts: bool = False


def checked(values: Callable[[Run], Sequence[str]], matching: Matching) -> Check:
    """The test of what `values` finds."""
    if isinstance(matching, AskingMatch):
        go = matching.go
        return Asking(lambda run: go(run, values(run)))
    return lambda run: matching(run, values(run))


def folded_keys(request: Request) -> Callable[[Run], Sequence[str]]:
    """The keys as they are compared; those without variables are folded once."""
    fold = request.comparator.fold
    if request.keys.constant is not None:
        known = tuple([fold(key) for key in request.keys.constant])
        return lambda run: known
    return lambda run: [fold(key) for key in request.keys(run)]


def _is(request: Request) -> Matching:
    fold = request.comparator.fold
    if request.keys.constant is not None:
        known = frozenset([fold(key) for key in request.keys.constant])

        def among(run: Run, values: Sequence[str]) -> bool:
            for value in values:
                run.spend(len(value) + TEST)
                if fold(value) in known:
                    return True
            return False

        return among
    keys = folded_keys(request)

    def equal(run: Run, values: Sequence[str]) -> bool:
        wanted = keys(run)
        for value in values:
            run.spend(len(value) + TEST + len(wanted))
            if fold(value) in wanted:
                return True
        return False

    return equal


def _contains(request: Request) -> Matching:
    fold = request.comparator.fold
    keys = folded_keys(request)

    def inside(run: Run, values: Sequence[str]) -> bool:
        wanted = keys(run)
        for value in values:
            run.spend((len(value) + TEST) * len(wanted))
            text = fold(value)
            for key in wanted:
                if key in text:
                    return True
        return False

    return inside


def _matches(request: Request) -> Matching:
    fold = request.comparator.fold
    if request.keys.constant is not None:
        known = tuple([Wildcard(fold(key)) for key in request.keys.constant])
        patterns: Callable[[Run], Sequence[Wildcard]] = lambda run: known  # noqa: E731
    else:
        keys = folded_keys(request)
        made = lru_cache(16)(Wildcard)

        def patterns(run: Run) -> Sequence[Wildcard]:
            return [made(key) for key in keys(run)]

    def like(run: Run, values: Sequence[str]) -> bool:
        wanted = patterns(run)
        for value in values:
            text = fold(value)
            for pattern in wanted:
                run.spend((len(text) + TEST) * pattern.weight)
                spans = pattern.match(text)
                if spans is not None:
                    if request.remembers:
                        remember(run, value if len(value) == len(text) else text, spans)
                    return True
        return False

    return like


def remember(run: Run, value: str, spans: Sequence[tuple[int, int]]) -> None:
    """Keep what matched, ${0} the whole value."""
    limit = run.limits.variable
    run.matched = [value[:limit], *[value[start : min(end, start + limit)] for start, end in spans]]


IS = MatchType(_is)
CONTAINS = MatchType(_contains, parts=True)
MATCHES = MatchType(_matches, parts=True)
