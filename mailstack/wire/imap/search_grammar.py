"""The keys of a SEARCH (RFC 9051 6.4.4, RFC 4731, RFC 7162 3.1.5, RFC 5032, RFC 6203, RFC 8474 6, RFC 8514 4.3)."""

import calendar
import datetime
import re
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.message.flag import Flags
from mailstack.wire.imap import sequence
from mailstack.wire.imap.scanner import Scanner
from mailstack.wire.imap.search import (
    And,
    Body,
    Comparison,
    Date,
    DateKind,
    EmailId,
    Filter,
    Fuzzy,
    HasFlag,
    HasKeyword,
    Header,
    Key,
    Larger,
    ModSeq,
    Not,
    Numbers,
    Or,
    Partial,
    Recent,
    Return,
    Returns,
    Smaller,
    Text,
    ThreadId,
    Uids,
    Within,
    is_fuzzy,
)

_DATE = re.compile(rb'"?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})"?')
_KEYWORD = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_MONTHS: Final = MappingProxyType({name.upper(): number for number, name in enumerate(calendar.month_abbr) if name})
_FLAGS: Final = MappingProxyType[str, Key](
    {
        "ANSWERED": HasFlag(Flags.ANSWERED),
        "DELETED": HasFlag(Flags.DELETED),
        "DRAFT": HasFlag(Flags.DRAFT),
        "FLAGGED": HasFlag(Flags.FLAGGED),
        "SEEN": HasFlag(Flags.SEEN),
        "UNANSWERED": Not(HasFlag(Flags.ANSWERED)),
        "UNDELETED": Not(HasFlag(Flags.DELETED)),
        "UNDRAFT": Not(HasFlag(Flags.DRAFT)),
        "UNFLAGGED": Not(HasFlag(Flags.FLAGGED)),
        "UNSEEN": Not(HasFlag(Flags.SEEN)),
        "ALL": And(()),
        "RECENT": Recent(),
        "NEW": Recent(new=True),
        "OLD": Not(Recent()),
        "SAVEDATESUPPORTED": And(()),  # RFC 8514 4.3: each mailbox here knows when messages came into it
    }
)
_HEADERS: Final = frozenset({"BCC", "CC", "FROM", "SUBJECT", "TO"})
_DATES: Final = MappingProxyType(
    {
        "BEFORE": (DateKind.INTERNAL, Comparison.BEFORE),
        "ON": (DateKind.INTERNAL, Comparison.ON),
        "SINCE": (DateKind.INTERNAL, Comparison.SINCE),
        "SENTBEFORE": (DateKind.SENT, Comparison.BEFORE),
        "SENTON": (DateKind.SENT, Comparison.ON),
        "SENTSINCE": (DateKind.SENT, Comparison.SINCE),
        "SAVEDBEFORE": (DateKind.SAVED, Comparison.BEFORE),
        "SAVEDON": (DateKind.SAVED, Comparison.ON),
        "SAVEDSINCE": (DateKind.SAVED, Comparison.SINCE),
    }
)
_FILTER = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff/]+')
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_PARTIAL = re.compile(rb"(-?[1-9][0-9]{0,9}):(-?[1-9][0-9]{0,9})")
_CHARSETS: Final = MappingProxyType({"UTF-8": "utf-8", "US-ASCII": "ascii"})
KEY_LIMIT = 1000
NESTING_LIMIT = 32


class BadCharset(SyntaxProblem):
    """A search names a charset that is not supported (RFC 9051 6.4.4); `saves` when its result was to be saved."""

    def __init__(self, saves: bool = False) -> None:
        super().__init__("charset is not supported")
        self.saves = saves


class _Reader:
    def __init__(self, scanner: Scanner, codec: str) -> None:
        self.scanner = scanner
        self.codec = codec
        self.keys = 0

    def text(self) -> str:
        try:
            return self.scanner.astring().decode(self.codec)
        except UnicodeDecodeError:
            raise SyntaxProblem("the search text is not in its charset") from None

    def date(self) -> datetime.date:
        found = self.scanner.take(_DATE, "date")
        month = _MONTHS.get(found[2].decode("ascii").upper())
        if month is None:
            raise SyntaxProblem("no such month")
        try:
            return datetime.date(int(found[3]), month, int(found[1]))
        except ValueError:
            raise SyntaxProblem("no such date") from None

    def all(self, depth: int, end: bytes) -> Key:
        """Keys up to the end, all of which must hold."""
        keys = [self.key(depth)]
        while True:
            while self.scanner.skip(b" "):
                pass
            if (end and self.scanner.skip(end)) or (not end and self.scanner.at_end):
                return keys[0] if len(keys) == 1 else And(tuple(keys))
            keys.append(self.key(depth))

    def key(self, depth: int) -> Key:
        scanner = self.scanner
        self.keys += 1
        if depth > NESTING_LIMIT or self.keys > KEY_LIMIT:
            raise SyntaxProblem("the search is nested too deeply or too long")
        if scanner.skip(b"("):
            return self.all(depth + 1, b")")
        if scanner.peek() in b"0123456789*$" and not scanner.at_end:
            return Numbers(sequence.parse(scanner.sequence_set()))
        word = scanner.word()
        simple = _FLAGS.get(word)
        if simple is not None:
            return simple
        scanner.space()
        if word in _HEADERS:
            return Header(word.lower(), self.text())
        if word in _DATES:
            kind, comparison = _DATES[word]
            return Date(kind, comparison, self.date())
        match word:
            case "HEADER":
                name = scanner.astring_text().lower()
                scanner.space()
                return Header(name, self.text())
            case "BODY":
                return Body(self.text())
            case "TEXT":
                return Text(self.text())
            case "KEYWORD":
                return HasKeyword(scanner.take(_KEYWORD, "keyword")[0].decode("ascii"))
            case "UNKEYWORD":
                return Not(HasKeyword(scanner.take(_KEYWORD, "keyword")[0].decode("ascii")))
            case "LARGER":
                return Larger(scanner.number())
            case "SMALLER":
                return Smaller(scanner.number())
            case "UID":
                return Uids(sequence.parse(scanner.sequence_set()))
            case "YOUNGER" | "OLDER":
                seconds = scanner.number(sequence.HIGHEST)
                if not seconds:
                    raise SyntaxProblem("an interval is 1 second or more")
                return Within(seconds, older=word == "OLDER")
            case "EMAILID":
                return EmailId(scanner.take(_OBJECT_ID, "object id")[0])
            case "THREADID":
                return ThreadId(scanner.take(_OBJECT_ID, "object id")[0])
            case "FILTER":
                return Filter(scanner.take(_FILTER, "filter name")[0].decode("ascii"))
            case "FUZZY":
                return Fuzzy(self.key(depth + 1))
            case "UIDAFTER":  # RFC 9738 3.2
                first = scanner.number(sequence.HIGHEST) + 1
                return Uids(sequence.SequenceSet(((first, sequence.HIGHEST),) if first <= sequence.HIGHEST else ()))
            case "UIDBEFORE":
                last = scanner.number(sequence.HIGHEST) - 1
                return Uids(sequence.SequenceSet(((1, last),) if last > 0 else ()))
            case "NOT":
                return Not(self.key(depth + 1))
            case "OR":
                left = self.key(depth + 1)
                scanner.space()
                return Or(left, self.key(depth + 1))
            case "MODSEQ":
                if scanner.peek() == b'"':  # a flag's name and type: this server keeps one MODSEQ a message
                    scanner.string()
                    scanner.space()
                    scanner.word()
                    scanner.space()
                return ModSeq(scanner.number())
            case _:
                raise SyntaxProblem("unknown search key")


def program(scanner: Scanner, returns: Returns | None) -> Key:
    """`[CHARSET name] keys`, behind RETURN."""
    if scanner.text[scanner.position : scanner.position + 8].upper() != b"CHARSET ":
        key = _Reader(scanner, "utf-8").all(0, b"")
    else:
        scanner.position += 8
        key = keys(scanner, scanner.astring_text(), returns)
    needs_fuzzy(key, returns)
    return key


def needs_fuzzy(key: Key, returns: Returns | None) -> None:
    """RFC 6203 4: RELEVANCY without FUZZY is no search."""
    if returns is not None and Return.RELEVANCY in returns.options and not is_fuzzy(key):
        raise SyntaxProblem("RELEVANCY needs FUZZY")


def search(scanner: Scanner) -> tuple[Returns | None, Key]:
    """RETURN options and keys, after the command's name."""
    scanner.space()
    returns = return_options(scanner)
    return returns, program(scanner, returns)


def keys(scanner: Scanner, charset: str, returns: Returns | None = None) -> Key:
    """The search keys behind a charset."""
    codec = _CHARSETS.get(charset.upper())
    if codec is None:
        raise BadCharset(returns is not None and Return.SAVE in returns.options)
    scanner.space()
    return _Reader(scanner, codec).all(0, b"")


def criteria(scanner: Scanner) -> Key:
    """Search keys and nothing else, in UTF-8: what a filter is made of (RFC 5466 4)."""
    return _Reader(scanner, "utf-8").all(0, b"")


def return_options(scanner: Scanner) -> Returns | None:
    """`RETURN (...)` with the space behind it, if it is there (RFC 4466 2.6)."""
    if scanner.text[scanner.position : scanner.position + 7].upper() != b"RETURN ":
        return None
    scanner.position += 7
    while scanner.skip(b" "):
        pass
    scanner.expect(b"(")
    options, partial = Return(0), None
    while not scanner.skip(b")"):
        scanner.skip(b" ")
        if scanner.skip(b")"):
            break
        try:
            option = Return[scanner.word()]
        except KeyError:
            raise SyntaxProblem("unknown SEARCH return option") from None
        if option is Return.PARTIAL:
            if partial is not None:
                raise SyntaxProblem("PARTIAL is there twice")
            scanner.space()
            partial = partial_range(scanner)
        options |= option
    if partial is not None and Return.ALL in options:
        raise SyntaxProblem("PARTIAL and ALL exclude each other")
    scanner.space()
    return Returns(options or Return.ALL, partial)


def partial_range(scanner: Scanner) -> Partial:
    """RFC 9394 4: `1:100` or `-1:-100`."""
    found = scanner.take(_PARTIAL, "range of results")
    first, last = int(found[1]), int(found[2])
    if (first < 0) is not (last < 0) or max(abs(first), abs(last)) > sequence.HIGHEST:
        raise SyntaxProblem("no such range of results")
    return Partial(first, last)
