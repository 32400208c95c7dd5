"""External lists: the match type :list and valid_ext_list (RFC 6134)."""

from collections.abc import Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.matching import AskingMatch, Matching, MatchType, Request
from mailstack.sieve.questions import Asks, ListExists, OnList
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check
from mailstack.sieve.tests.mailbox import all_true


def _list(request: Request) -> Matching:
    def ask(run: Run, values: Sequence[str]) -> Asks[bool]:
        if not values:
            return False
        for name in request.keys(run):
            found = yield from run.ask(OnList(name, tuple(values)))
            if isinstance(found, str):
                if request.remembers:
                    run.matched = [found]  # RFC 6134 2.2: ${0} is the value that is on the list
                return True
        return False

    return AskingMatch(ask)


def _valid(bound: Bound) -> Check:
    names = bound.texts(0)
    return all_true(lambda run: [ListExists(name) for name in names(run)])


EXTENSION = Extension(
    "extlists",
    tests={"valid_ext_list": Test(_valid, (Kind.STRINGS,))},
    matches={"list": MatchType(_list)},
    tags={"redirect": (Tag("list"),)},
)
