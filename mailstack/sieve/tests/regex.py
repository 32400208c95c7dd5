"""The match type :regex (draft-ietf-sieve-regex) and its modifier :quoteregex."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from mailstack.message.errors import SyntaxProblem
from mailstack.sieve.comparator import CASEMAP, OCTET
from mailstack.sieve.extension import Extension, Modifier
from mailstack.sieve.matching import Matching, MatchType, Request
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.regex import Regex
from mailstack.sieve.regex_parser import SPECIAL
from mailstack.sieve.state import Run

_SPECIAL = re.compile("([" + re.escape("".join(sorted(SPECIAL))) + "])")


def _exact(character: str) -> tuple[str, ...]:
    return (character,)


def _ascii(character: str) -> tuple[str, ...]:
    return (character, character.swapcase()) if character.isascii() and character.isalpha() else (character,)


def _any_case(character: str) -> tuple[str, ...]:
    return (character, character.lower(), character.upper())


def _regex(request: Request) -> Matching:
    name = request.comparator.name
    fold = {CASEMAP.name: _ascii, OCTET.name: _exact}.get(name, _any_case)

    def made(pattern: str) -> Regex:
        try:
            return Regex(pattern, request.limits.pattern, fold)
        except SyntaxProblem as problem:
            raise SieveProblem(request.line, f"{pattern[:100]!r} is no regular expression: {problem.reason}") from None

    if request.keys.constant is not None:
        found = []
        for key in request.keys.constant:
            found.append(made(key))
            request.count(found[-1].size)
        known = tuple(found)
        patterns: Callable[[Run], Sequence[Regex]] = lambda run: known  # noqa: E731
    else:
        kept = lru_cache(4)(made)

        def patterns(run: Run) -> Sequence[Regex]:
            keys = request.keys(run)
            run.spend(100 * sum(map(len, keys)))
            return [kept(key) for key in keys]

    return _matching(patterns, request.remembers)


def _matching(patterns: Callable[[Run], Sequence[Regex]], remembers: bool) -> Matching:
    def found(run: Run, values: Sequence[str]) -> bool:
        wanted = patterns(run)
        for value in values:
            for pattern in wanted:
                if not remembers:
                    if pattern.found(value, run.spend):
                        return True
                elif (spans := pattern.spans(value, run.spend)) is not None:
                    run.matched = [value[start:end][: run.limits.variable] for start, end in spans]
                    return True
        return False

    return found


def _quote(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


EXTENSION = Extension("regex", matches={"regex": MatchType(_regex, parts=True)}, modifiers={"quoteregex": Modifier(20, _quote)})
