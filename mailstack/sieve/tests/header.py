"""header, exists, size (RFC 5228 5.5, 5.7, 5.9)."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Kind, Tag, Test
from mailstack.sieve.matching import AskingMatch, checked
from mailstack.sieve.mimeparts import headers_of, reader
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check
from mailstack.sieve.strings import Texts

T = TypeVar("T")
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


def _all(found: Sequence[T]) -> Sequence[T]:
    return found


def chosen(bound: Bound) -> Callable[[Sequence[T]], Sequence[T]]:
    """All fields of a name, or with :index one of them, with :last counted from the end (RFC 5260 6)."""
    if not bound.has("index"):
        if bound.has("last"):
            raise bound.problem("':last' stands without ':index'")
        return _all
    number = bound.number("index")
    if not number:
        raise bound.problem("':index' counts from 1")
    if bound.has("last"):
        return lambda found: found[len(found) - number :][:1] if number <= len(found) else ()
    return lambda found: found[number - 1 :][:1]


def _header(bound: Bound) -> Check:
    names, choose = names_of(bound, 0), chosen(bound)
    if bound.has("mime"):
        return _mime_header(bound)
    headers_of(bound)
    constant = bound.texts(0).constant
    if constant is not None and len(constant) == 1 and choose is _all:
        return _one_field(constant[0].lower(), bound)

    def values(run: Run) -> Sequence[str]:
        return [text for name in names(run) for text in choose(run.header.texts(name))]

    return checked(values, bound.match())


def _one_field(name: str, bound: Bound) -> Check:
    """What most tests are: in few steps."""
    matching = bound.match()
    if isinstance(matching, AskingMatch):
        return checked(lambda run: run.header.texts(name), matching)
    return lambda run: matching(run, run.header.texts(name))


def _mime_header(bound: Bound) -> Check:
    names, choose = names_of(bound, 0), chosen(bound)
    headers, read = headers_of(bound), reader(bound)

    def values(run: Run) -> Sequence[str]:
        found: list[str] = []
        for header in headers(run):
            for name in names(run):
                if read is None:
                    found += choose(header.texts(name))
                else:
                    found += [text for value in choose(header.values(name)) for text in read(run, value)]
        return found

    return checked(values, bound.match())


def _exists(bound: Bound) -> Check:
    names, headers = names_of(bound, 0), headers_of(bound)

    def exists(run: Run) -> bool:
        looked_at = headers(run)
        return all(any(header.values(name) for header in looked_at) for name in names(run))

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
