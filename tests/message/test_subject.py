"""Base subjects (RFC 5256 2.1), against cases and against the rules carried out one by one."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.collation import casemap
from mailstack.message.subject import base_subject

CASES = [
    ("hello", "hello", False),
    ("Re: hello", "hello", True),
    ("RE : Fw: fWd [x]: hello", "hello", True),
    ("Re: Re[2]: [list] hello (fwd)", "hello", True),
    ("hello (fwd) (FWD) ", "hello", True),
    ("[a] [b] re: x", "x", True),
    ("[a] x", "x", False),
    ("[Fwd: Re: foo]", "foo", True),
    ("FW: [x] [Fwd: bar] (fwd)", "bar", True),
    ("[blob]", "[blob]", False),
    ("[a][b]", "[b]", False),
    ("re:", "", True),
    ("(fwd)", "", True),
    ("  a \t b  ", "a b", False),
    ("[[a] x]", "[[a] x]", False),
    ("re[: x", "re[: x", False),
    ("reply: x", "reply: x", False),
    ("", "", False),
]


@pytest.mark.parametrize(("text", "base", "told"), CASES)
def test_base_subjects(text: str, base: str, told: bool) -> None:
    assert base_subject(text) == (base, told)


BLOB = r"\[[^\[\]]*\][ \t]*"
REFWD = rf"(?:re|fwd?)[ \t]*(?:{BLOB})?:"


def model(text: str) -> tuple[str, bool]:
    """Each rule by itself, one thing at a time."""
    told = False
    text = re.sub("[ \t]+", " ", text)
    while True:
        while found := re.search(r"(\(fwd\)|[ \t])\Z", text, re.IGNORECASE):
            told = told or found[1] not in " \t"
            text = text[: found.start()]
        while True:
            if found := re.match(rf"(?:{BLOB})*{REFWD}|[ \t]", text, re.IGNORECASE):
                told = told or found[0] not in " \t"
                text = text[found.end() :]
            elif (found := re.match(BLOB, text)) and text[found.end() :].strip():
                text = text[found.end() :]
            else:
                break
        if not (text[:5].lower() == "[fwd:" and text[5:].endswith("]")):
            return text, told
        text, told = text[5:-1], True


PIECES = st.sampled_from(["re", "Fw", "fwd", ":", "[", "]", " ", "\t", "[a]", "(fwd)", "[fwd:", "x", "ß", "re:", "()"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_the_rules_are_followed(text: str) -> None:
    assert base_subject(text) == model(text)


def test_long_subjects_take_no_longer() -> None:
    start = time.process_time()
    for piece in ("[]", "[a", "re:", "(fwd)", "[fwd:", "[a] re", " "):
        base_subject(piece * 200_000)
    base_subject("[fwd:" * 200_000 + "]" * 200_000)
    assert time.process_time() - start < 5


def test_what_the_collation_holds_equal() -> None:
    assert casemap("straße") == casemap("STRAßE")
    assert casemap("GRÜN") == casemap("gru\u0308n")
    assert casemap("ａｂｃ") == casemap("ABC")
    assert casemap("ǆ") == casemap("Ǆ") == casemap("ǅ")
    assert casemap("a") != casemap("b")
