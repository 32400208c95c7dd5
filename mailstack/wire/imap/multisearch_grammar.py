"""ESEARCH and CANCELUPDATE (RFC 7377 4, RFC 5267 5)."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.scanner import Scanner
from mailstack.wire.imap.search import Return, Returns
from mailstack.wire.imap.search_grammar import program, return_options
from mailstack.wire.imap.search_sources import NAMED, THE_SELECTED, Scope, Source

SOURCE_LIMIT = 100


def _esearch(scanner: Scanner) -> c.Command:
    scanner.space()
    sources: tuple[Source, ...] = (THE_SELECTED,)
    if scanner.text[scanner.position : scanner.position + 3].upper() == b"IN ":
        scanner.position += 3
        sources = _sources(scanner)
        scanner.space()
    returns = return_options(scanner) or Returns(Return.ALL)
    if Return.SAVE in returns.options and sources != (THE_SELECTED,):
        raise SyntaxProblem("SAVE is for the selected mailbox alone")
    return c.SearchMailboxes(sources, program(scanner, returns), returns)


def _sources(scanner: Scanner) -> tuple[Source, ...]:
    scanner.expect(b"(")
    found: list[Source] = []
    while True:
        try:
            scope = Scope(scanner.word())
        except ValueError:
            raise SyntaxProblem("unknown mailbox specifier") from None
        names: tuple[str, ...] = ()
        if scope in NAMED:
            scanner.space()
            names = scanner.mailboxes()
        found.append(Source(scope, names))
        if len(found) > SOURCE_LIMIT:
            raise SyntaxProblem("too many mailbox specifiers")
        if scanner.skip(b")"):
            return tuple(found)
        scanner.space()
        if scanner.peek() == b"(":
            raise SyntaxProblem("unknown scope option")  # none is defined


def _cancel_update(scanner: Scanner) -> c.Command:
    """RFC 5267 5."""
    tags: list[str] = []
    while not tags or scanner.skip(b" "):
        if not tags:
            scanner.space()
        tags.append(scanner.astring_text())
    return c.CancelUpdate(tuple(tags))


MULTISEARCH_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {"ESEARCH": _esearch, "CANCELUPDATE": _cancel_update}
)
