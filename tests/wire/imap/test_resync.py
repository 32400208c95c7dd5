"""What a client knows of a mailbox, and what it then must hear of."""

import random
from array import array

import pytest

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import responses, sequence
from mailstack.wire.imap.fetch import Attribute
from mailstack.wire.imap.framing import CommandLine
from mailstack.wire.imap.grammar import parse
from mailstack.wire.imap.resync import Known
from mailstack.wire.imap.search import Partial


def one(text: str) -> c.Command:
    return parse(CommandLine((b"a " + text.encode(),)))[1]


def numbers(text: str) -> sequence.SequenceSet:
    return sequence.parse(text.encode())


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("(QRESYNC (7 9))", Known(7, 9)),
        ("(qresync (7 9 1:3,5))", Known(7, 9, numbers("1:3,5"))),
        ("(QRESYNC (7 9 1:3 (1,2 4,8)))", Known(7, 9, numbers("1:3"), numbers("1,2"), numbers("4,8"))),
        ("(QRESYNC (7 9 (1 4)))", Known(7, 9, None, numbers("1"), numbers("4"))),
    ],
)
def test_what_a_client_knows(text: str, known: Known) -> None:
    assert one(f"SELECT x {text}") == c.Select("x", False, False, known)
    assert one(f"EXAMINE x {text[:-1]} CONDSTORE)") == c.Select("x", True, True, known)


@pytest.mark.parametrize(
    "text",
    ["()", "(QRESYNC)", "(QRESYNC ())", "(QRESYNC (1))", "(QRESYNC (1 2 *))", "(QRESYNC (1 2 1:*))", "(QRESYNC (1 2 $))",
     "(QRESYNC (1 2 3 (1)))", "(QRESYNC (1 2 (1 2) 3))", "(QRESYNC (1 9223372036854775808))", "(QRESYNC (4294967296 1))",
     "(QRESYNC (1 2) QRESYNC (1 2))", "(CONDSTORE FOO)", "(CONDSTORE", "CONDSTORE"],
)  # fmt: skip
def test_what_no_client_may_say(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        one(f"SELECT x {text}")


def test_modifiers_of_fetch() -> None:
    wanted = c.Fetch(True, numbers("1:*"), (Attribute.FLAGS,), 5, vanished=True)
    assert one("UID FETCH 1:* FLAGS (CHANGEDSINCE 5 VANISHED)") == wanted
    assert one("UID FETCH 1:* FLAGS (VANISHED CHANGEDSINCE 5)") == wanted
    some = c.Fetch(True, numbers("1:*"), (Attribute.FLAGS,), 5, partial=Partial(-1, -30))
    assert one("UID FETCH 1:* FLAGS (PARTIAL -1:-30 CHANGEDSINCE 5)") == some
    for wrong in ("FETCH 1 FLAGS (PARTIAL 1:2)", "UID FETCH 1 FLAGS (PARTIAL 1:-2)",
                  "FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)", "UID FETCH 1 FLAGS (VANISHED)", "UID FETCH 1 FLAGS ()",
                  "UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)"):  # fmt: skip
        with pytest.raises(SyntaxProblem):
            one(wrong)


def test_gaps_are_what_is_not_there() -> None:
    chosen = random.Random(5)
    for _ in range(300):
        top = chosen.randrange(1, 80)
        existing = array("I", sorted(chosen.sample(range(1, top + 1), chosen.randrange(top + 1))))
        low, high = chosen.randrange(1, 90), chosen.randrange(1, 90)
        expected = [number for number in range(low, high + 1) if number not in existing]
        assert list(sequence.gaps(existing, low, high)) == list(sequence.runs(expected))


def test_ranges_within() -> None:
    assert numbers("5:*,2:3,3:4,9").within(7) == [(2, 7)]
    assert numbers("1:*").within(0) == []
    assert numbers("*").within(7) == [(7, 7)]
    assert numbers("9:*").within(7) == [(7, 7)]
    assert numbers("1:4294967295,8").within(7) == [(1, 7)]
    assert numbers("9:12").within(7) == []


def test_a_long_answer_has_many_lines() -> None:
    lines = list(responses.vanished(((number, number) for number in range(1, 5000, 2)), earlier=True))
    assert len(lines) == 3
    assert all(line.startswith(b"* VANISHED (EARLIER) ") and line.endswith(b"\r\n") for line in lines)
    assert b",".join(line[21:-2] for line in lines) == b",".join(b"%d" % number for number in range(1, 5000, 2))
    assert list(responses.vanished([])) == []
