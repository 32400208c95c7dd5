"""environment (RFC 5183), spamtest and virustest (RFC 5235)."""

from collections.abc import Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check


def _environment(bound: Bound) -> Check:
    name = bound.text(0)

    def values(run: Run) -> Sequence[str]:
        value = run.environment.items.get(name(run).lower())
        return () if value is None else (value,)  # RFC 5183 4: what is not known matches nothing

    return checked(values, bound.match())


def _spamtest(bound: Bound) -> Check:
    percent, counts = bound.has("percent"), bound.counts

    def values(run: Run) -> Sequence[str]:
        score = run.environment.spam
        if score is None:
            return () if counts else ("0",)
        score = min(max(score, 0.0), 100.0)
        return (str(int(score) if percent else 1 + round(score * 9 / 100)),)  # RFC 5235 2.1: 1 to 10

    return checked(values, bound.match())


def _virustest(bound: Bound) -> Check:
    counts = bound.counts

    def values(run: Run) -> Sequence[str]:
        virus = run.environment.virus
        if virus is None:
            return () if counts else ("0",)
        return (str(virus),)

    return checked(values, bound.match())


EXTENSION = Extension("environment", tests={"environment": Test(_environment, (Kind.STRING, Kind.STRINGS), matches=True)})
SPAM = Extension("spamtest", tests={"spamtest": Test(_spamtest, (Kind.STRING,), matches=True)})
SPAM_PLUS = Extension("spamtestplus", tags={"spamtest": (Tag("percent"),)}, includes=("spamtest",))
VIRUS = Extension("virustest", tests={"virustest": Test(_virustest, (Kind.STRING,), matches=True)})
