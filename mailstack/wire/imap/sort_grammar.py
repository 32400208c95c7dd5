"""SORT and THREAD (RFC 5256 5, RFC 5267 5)."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.scanner import Scanner
from mailstack.wire.imap.search import is_fuzzy
from mailstack.wire.imap.search_grammar import keys, needs_fuzzy, return_options
from mailstack.wire.imap.sort import Algorithm, Criterion, SortKey

CRITERIA_LIMIT = 50


def _sort(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        returns = return_options(scanner)
        criteria = _criteria(scanner)
        scanner.space()
        key = keys(scanner, scanner.astring_text(), returns)
        needs_fuzzy(key, returns)
        if any(one.key is SortKey.RELEVANCY for one in criteria) and not is_fuzzy(key):
            raise SyntaxProblem("RELEVANCY needs FUZZY")
        return c.Sort(uid, criteria, key, returns)

    return read


def _criteria(scanner: Scanner) -> tuple[Criterion, ...]:
    scanner.expect(b"(")
    found: list[Criterion] = []
    while not found or not scanner.skip(b")"):
        if found:
            scanner.space()
        word = scanner.word()
        reverse = word == "REVERSE"
        if reverse:
            scanner.space()
            word = scanner.word()
        try:
            found.append(Criterion(SortKey[word], reverse))
        except KeyError:
            raise SyntaxProblem("unknown sort key") from None
        if len(found) > CRITERIA_LIMIT:
            raise SyntaxProblem("too many sort keys")
    return tuple(found)


def _thread(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        try:
            algorithm = Algorithm[scanner.word()]
        except KeyError:
            raise SyntaxProblem("unknown threading algorithm") from None
        scanner.space()
        return c.Thread(uid, algorithm, keys(scanner, scanner.astring_text()))

    return read


SORT_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {
        "SORT": _sort(uid=False),
        "UID SORT": _sort(uid=True),
        "THREAD": _thread(uid=False),
        "UID THREAD": _thread(uid=True),
    }
)
