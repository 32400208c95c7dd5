"""GETMETADATA and SETMETADATA (RFC 5464 5), and the entries of a LIST (RFC 9590)."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.scanner import Scanner

# RFC 5464 3.2.1: two roots, no empty part, nothing but printable ASCII without wildcards.
_ENTRY = re.compile(rb"/(?:private|shared)(?:/[!-$&-)+-.0-~]+)*", re.IGNORECASE)
ENTRY_LIMIT = 100
ENTRY_LENGTH = 500
INFINITY = -1


def entry(scanner: Scanner) -> str:
    """An entry's name as it was written."""
    name = scanner.astring()
    if _ENTRY.fullmatch(name) is None or len(name) > ENTRY_LENGTH:
        raise SyntaxProblem("not an entry's name")
    return name.decode("ascii")


def entries(scanner: Scanner) -> tuple[str, ...]:
    """One, or a list in parentheses."""
    if not scanner.skip(b"("):
        return (entry(scanner),)
    names = [entry(scanner)]
    while not scanner.skip(b")"):
        scanner.space()
        names.append(entry(scanner))
        if len(names) > ENTRY_LIMIT:
            raise SyntaxProblem("too many entries")
    return tuple(dict.fromkeys(names))


def _options(scanner: Scanner) -> tuple[int | None, int]:
    """MAXSIZE and DEPTH."""
    largest: int | None = None
    depth = 0
    scanner.expect(b"(")
    while True:
        name = scanner.word()
        scanner.space()
        value = scanner.word()
        if name == "MAXSIZE" and value.isdecimal() and len(value) < 20:
            largest = int(value)
        elif name == "DEPTH" and value in ("0", "1", "INFINITY"):
            depth = INFINITY if value == "INFINITY" else int(value)
        else:
            raise SyntaxProblem("unknown GETMETADATA option")
        if scanner.skip(b")"):
            return largest, depth
        scanner.space()


def _get(scanner: Scanner) -> c.Command:
    """The options stand before the mailbox in the syntax of RFC 5464, and behind it in its examples: clients do both."""
    scanner.space()
    largest, depth = None, 0
    options_seen = scanner.peek() == b"("
    if options_seen:
        largest, depth = _options(scanner)
        scanner.space()
    mailbox = scanner.mailbox()
    scanner.space()
    if not options_seen and scanner.peek() == b"(" and scanner.text[scanner.position + 1 : scanner.position + 2] not in b'/"\0':
        largest, depth = _options(scanner)
        scanner.space()
    found = list(entries(scanner))
    while scanner.skip(b" "):
        found += entries(scanner)  # RFC 5464 4.4.1 shows them without parentheses
        if len(found) > ENTRY_LIMIT:
            raise SyntaxProblem("too many entries")
    return c.GetMetadata(mailbox, tuple(dict.fromkeys(found)), largest, depth)


def _value(scanner: Scanner) -> bytes | None:
    if scanner.text[scanner.position : scanner.position + 3].upper() == b"NIL":
        scanner.position += 3
        return None
    literal = scanner.literal() if scanner.peek() == b"\0" else None
    if literal is None:
        return scanner.string()
    if literal.data is None or (b"\0" in literal.data and not literal.binary):
        raise SyntaxProblem("a literal holds what a string may not")
    return literal.data


def _set(scanner: Scanner) -> c.Command:
    scanner.space()
    mailbox = scanner.mailbox()
    scanner.space()
    scanner.expect(b"(")
    changes: dict[str, bytes | None] = {}
    while True:
        name = entry(scanner).lower()
        scanner.space()
        changes[name] = _value(scanner)
        if len(changes) > ENTRY_LIMIT:
            raise SyntaxProblem("too many entries")
        if scanner.skip(b")"):
            return c.SetMetadata(mailbox, tuple(changes.items()))
        scanner.space()


METADATA_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]]({"GETMETADATA": _get, "SETMETADATA": _set})
