"""addheader, deleteheader (RFC 5293), and the message with the changes that they are."""

import pytest

from mailstack.sieve.actions import FileInto, Keep, Redirect
from mailstack.sieve.edits import AddField, DeleteField, apply
from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import compile
from tests.support.sieve import actions, outcome

MESSAGE = b"A: 1\r\nno field\r\nB: 2\r\n folded\r\nA: 3\r\nSubject: x\r\n\r\nbody\r\n"
HEAD = 'require ["editheader", "fileinto", "copy", "index", "variables"];\n'


def edited(script: str, message: bytes = MESSAGE) -> bytes:
    """The message as it is kept."""
    found = outcome(HEAD + script, message)
    assert found.problem is None
    action = found.actions[-1]
    assert isinstance(action, Keep | FileInto | Redirect)
    return apply(message, action.edits)


CASES = [
    ('addheader "X" "y";', b"X: y\r\n" + MESSAGE),
    ('addheader :last "X" "y";', MESSAGE.replace(b"x\r\n\r\n", b"x\r\nX: y\r\n\r\n")),
    ('addheader "X" "a\r\nB: c";', b"X: a B: c\r\n" + MESSAGE),
    ('addheader "X" "y"; deleteheader "x";', MESSAGE),
    ('deleteheader "b";', MESSAGE.replace(b"B: 2\r\n folded\r\n", b"")),
    ('deleteheader "a";', b"no field\r\nB: 2\r\n folded\r\nSubject: x\r\n\r\nbody\r\n"),
    ('deleteheader :index 2 "a";', MESSAGE.replace(b"A: 3\r\n", b"")),
    ('deleteheader :index 1 :last "a";', MESSAGE.replace(b"A: 3\r\n", b"")),
    ('deleteheader :contains "a" "1";', MESSAGE.replace(b"A: 1\r\n", b"")),
    ('deleteheader "b" "2 folded";', MESSAGE.replace(b"B: 2\r\n folded\r\n", b"")),
    ('deleteheader "a" "4";', MESSAGE),
    ('addheader "Received" "y"; deleteheader "auto-submitted";', MESSAGE),
    ('if header :matches "subject" "*" { deleteheader "subject"; addheader "Subject" "[l] ${1}"; }',
     b"Subject: [l] x\r\n" + MESSAGE.replace(b"Subject: x\r\n", b"")),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), CASES)
def test_the_message_with_changes(script: str, expected: bytes) -> None:
    assert edited(script) == expected


def test_a_message_of_which_all_is_header() -> None:
    assert edited('addheader :last "X" "y";', b"A: 1") == b"A: 1\r\nX: y\r\n"
    assert edited('deleteheader "A";', b"A: 1") == b""


def test_long_values_are_folded() -> None:
    lines = edited(f'addheader "X" "{"word " * 60}";').split(b"\r\n")
    assert max(map(len, lines)) < 79
    assert lines[1].startswith(b" word")


def test_what_is_decided_before_a_change_is_not_changed() -> None:
    found = outcome(HEAD + 'fileinto :copy "a"; addheader "X" "y"; redirect :copy "a@x.test"; deleteheader "x";', MESSAGE)
    file, send, keep = found.actions
    assert isinstance(file, FileInto) and isinstance(send, Redirect) and isinstance(keep, Keep)  # noqa: PT018
    assert file.edits == ()
    assert send.edits == (AddField("X", "y"),)
    assert keep.edits == (AddField("X", "y"), DeleteField(0))


def test_tests_see_the_changes() -> None:
    assert actions(HEAD + 'addheader "X" "y"; if header "x" "y" { discard; }', message=MESSAGE) == ["discard"]
    assert actions(HEAD + 'deleteheader "a"; if not exists "a" { discard; }', message=MESSAGE) == ["discard"]


def test_an_error_leaves_the_message_as_it_came() -> None:
    found = outcome(HEAD + 'addheader "X" "y"; set "a" "b c"; redirect "${a}";', MESSAGE)
    assert found.problem is not None
    assert found.actions == (Keep(0),)


@pytest.mark.parametrize(
    "script", ['addheader "a b" "c";', 'deleteheader "a:";', 'deleteheader :index 0 "a";', 'addheader "x";']
)
def test_what_is_wrong(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(HEAD + script)


def test_looking_through_the_fields_counts() -> None:
    found = outcome(HEAD + 'deleteheader "x";\n' * 200, b"Y: y\r\n" * 1000 + b"\r\n", limits=Limits(work=1_000_000))
    assert found.problem is not None
    assert "more text" in found.problem.reason


def test_there_is_a_limit() -> None:
    found = outcome(HEAD + 'deleteheader "x";\n', b"X: y\r\n" * 600 + b"\r\n")
    assert found.problem is not None
    assert "512" in found.problem.reason
