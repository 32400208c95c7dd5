"""Parameters of SELECT and modifiers of FETCH (RFC 7162 7, RFC 9394 4)."""

from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import sequence
from mailstack.wire.imap.resync import Known
from mailstack.wire.imap.scanner import Scanner
from mailstack.wire.imap.search import Partial
from mailstack.wire.imap.search_grammar import partial_range

HIGHEST_MODSEQ = 0x7FFFFFFFFFFFFFFF


def select_parameters(scanner: Scanner) -> tuple[bool, Known | None]:
    """`(CONDSTORE QRESYNC (...))`: whether CONDSTORE is there, and what the client knows."""
    condstore = False
    known = None
    scanner.expect(b"(")
    while True:
        match scanner.word():
            case "CONDSTORE":
                condstore = True
            case "QRESYNC" if known is None:
                scanner.space()
                known = _known(scanner)
            case _:
                raise SyntaxProblem("unknown SELECT parameter")
        if scanner.skip(b")"):
            return condstore, known
        scanner.space()


def _known(scanner: Scanner) -> Known:
    scanner.expect(b"(")
    uid_validity = scanner.number(sequence.HIGHEST)
    scanner.space()
    modseq = scanner.number(HIGHEST_MODSEQ)
    uids = numbers = matching = None
    if not scanner.skip(b")"):
        scanner.space()
        if scanner.peek() != b"(":
            uids = _numbers(scanner)
            if scanner.skip(b" "):
                numbers, matching = _pairs(scanner)
        else:
            numbers, matching = _pairs(scanner)
        scanner.expect(b")")
    return Known(uid_validity, modseq, uids, numbers, matching)


def _pairs(scanner: Scanner) -> tuple[sequence.SequenceSet, sequence.SequenceSet]:
    scanner.expect(b"(")
    numbers = _numbers(scanner)
    scanner.space()
    matching = _numbers(scanner)
    scanner.expect(b")")
    return numbers, matching


def _numbers(scanner: Scanner) -> sequence.SequenceSet:
    """A set in which `*` and `$` are not allowed."""
    text = scanner.sequence_set()
    if b"*" in text or b"$" in text:
        raise SyntaxProblem("numbers expected")
    return sequence.parse(text)


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What stands behind the items of a FETCH."""

    changed_since: int | None = None
    vanished: bool = False
    partial: Partial | None = None


def fetch_modifiers(scanner: Scanner, *, uid: bool) -> Modifiers:
    """`(CHANGEDSINCE n VANISHED PARTIAL 1:100)`, in any order."""
    changed_since = partial = None
    vanished = False
    scanner.expect(b"(")
    while True:
        match scanner.word():
            case "CHANGEDSINCE" if changed_since is None:
                scanner.space()
                changed_since = scanner.number(HIGHEST_MODSEQ)
            case "VANISHED" if uid:
                vanished = True
            case "PARTIAL" if uid and partial is None:
                scanner.space()
                partial = partial_range(scanner)
            case _:
                raise SyntaxProblem("unknown FETCH modifier")
        if scanner.skip(b")"):
            break
        scanner.space()
    if vanished and changed_since is None:
        raise SyntaxProblem("VANISHED needs CHANGEDSINCE")
    return Modifiers(changed_since, vanished, partial)
