"""header, exists, size (RFC 5228 5.5, 5.7, 5.9)."""

import re
from collections.abc import Callable, Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Kind, Tag, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check
from mailstack.sieve.strings import Texts

FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 2.2


def names_of(bound: Bound, place: int) -> Callable[[Run], Sequence[str]]:
    """Names of fields in lower case. A constant one that is none is a mistake (RFC 5228 2.4.2.2)."""
    texts: Texts = bound.texts(place)
    if texts.constant is None:
        return lambda run: [name.lower() for name in texts(run)]
    for name in texts.constant:
        if FIELD_NAME.fullmatch(name) is None:
            raise bound.problem(f"{name[:100]!r} is no name of a header field")
    known = tuple([name.lower() for name in texts.constant])
    return lambda run: known


def _header(bound: Bound) -> Check:
    names = names_of(bound, 0)

    def values(run: Run) -> Sequence[str]:
        wanted = names(run)
        if len(wanted) == 1:
            return run.header.texts(wanted[0])
        return [text for name in wanted for text in run.header.texts(name)]

    return checked(values, bound.match())


def _exists(bound: Bound) -> Check:
    names = names_of(bound, 0)

    def exists(run: Run) -> bool:
        return all(run.header.values(name) for name in names(run))

    return exists


def _size(bound: Bound) -> Check:
    limit = bound.number(0)
    if not bound.tags:
        raise bound.problem("':over' or ':under' is missing")
    if bound.has("over"):
        return lambda run: run.message.size > limit
    return lambda run: run.message.size < limit


TESTS = {
    "header": Test(_header, (Kind.STRINGS, Kind.STRINGS), matches=True),
    "exists": Test(_exists, (Kind.STRINGS,)),
    "size": Test(_size, (Kind.NUMBER,), (Tag("over", choice="size"), Tag("under", choice="size"))),
}
