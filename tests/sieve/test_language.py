"""The language itself (RFC 5228): what scripts mean, what is no script, and how a run that fails ends."""

import re
from pathlib import Path

import pytest

from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import compile
from mailstack.sieve.table import EXTENSIONS, capabilities
from tests.support.sieve import actions, holds, outcome

ACTIONS = [
    ("", ["keep"]),
    ("# nothing\n/* at * all */", ["keep"]),
    ("keep; keep;", ["keep"]),
    ("discard;", ["discard"]),
    ("stop; discard;", ["keep"]),
    ('redirect "A@X.test";', ["send A@x.test"]),
    ('redirect "a@x.test"; redirect "A@x.test"; keep;', ["send a@x.test", "keep"]),
    ('require "fileinto"; fileinto "A"; fileinto "A"; fileinto "inbox"; keep;', ["file A", "file inbox"]),
    ('require ["fileinto", "copy"]; fileinto :copy "A";', ["file A", "keep"]),
    ('require ["copy"]; redirect :copy "a@x.test";', ["send a@x.test", "keep"]),
    ("if true { discard; } else { stop; }", ["discard"]),
    ('if false { stop; } elsif true { discard; } elsif true { redirect "a@x.test"; }', ["discard"]),
    ("if false { } elsif false { } else { discard; }", ["discard"]),
    ("if false { } if true { discard; }", ["discard"]),
    ("IF TRUE { DISCARD; }", ["discard"]),
    ('require "fileinto"; fileinto "a\\"\\\\\\b";', ['file a"\\b']),
]
TRUE = [
    'header :is "SUBJECT" "[ACME] i have a present für you"',
    'header :contains ["x-none", "subject"] ["zebra", "PRESENT"]',
    'header :comparator "i;octet" :contains "subject" "present"',
    'header :matches "subject" "[*] * für you"',
    'header :matches "subject" "?acme]*"',
    'header :matches "x-score" "1?"',
    'header :contains "x-empty" ""',
    'header :matches "x-empty" "*"',
    'header "x-score" "4"',
    'address "from" "coyote@DESERT.example.org"',
    'address :domain "to" "acme.example.com"',
    'address :localpart ["cc"] ["BOB"]',
    'address :all :contains "cc" "ann@"',
    'exists ["from", "to"]',
    "size :over 100",
    "size :under 1K",
    "anyof (false, true)",
    "allof (true, not false)",
    "not anyof (false, false)",
]
FALSE = [
    'header :comparator "i;octet" :contains "subject" "PRESENT"',
    'header :is "subject" "present"',
    'header :contains "x-none" ""',
    'header :matches "x-score" "???"',
    'header :matches "subject" "present*"',
    'header :matches "subject" "\\\\*"',
    'address :localpart "cc" "team"',
    'exists ["from", "x-none"]',
    "size :over 10K",
    "size :under 100",
    "allof (true, false)",
]
PROBLEMS = [
    ("keep", 1, "';' is missing"),
    ("\n\nfoo;", 3, "unknown command 'foo'"),
    ("if foo { keep; }", 1, "unknown test 'foo'"),
    ("if true keep;", 1, "a block must follow"),
    ("else { keep; }", 1, "no if"),
    ("if true { keep; ", 1, "no end"),
    ('keep "a";', 1, "takes no arguments"),
    ('\nkeep; require "fileinto";', 2, "before all"),
    ('require "nothing";', 1, "not supported"),
    ('require "fileinto"; fileinto text:\nA b\n.\n;', 1, "no name of a mailbox"),
    ('fileinto "a";', 1, 'require "fileinto" is missing'),
    ('redirect "nobody";', 1, "no mail address"),
    ('redirect ["a@x.test"];', 1, "a string is expected"),
    ("redirect 5;", 1, "a string is expected"),
    ('if header :is :contains "a" "b" { }', 1, "exclude"),
    ('if header :over "a" "b" { }', 1, "':over' is not known"),
    ('if header "a" :is "b" { }', 1, "must stand before"),
    ('if header "a b" "c" { }', 1, "no name of a header field"),
    ('if header :comparator "i;none" "a" "b" { }', 1, "comparator"),
    ("if size 5 { }", 1, ":over"),
    ("if size :over 5x { }", 1, "goes on with letters"),
    ("if size :over 99999999999999999999 { }", 1, "too large"),
    ("if size :over 9999999999G { }", 1, "too large"),
    ("if not (true) { }", 1, "one test"),
    ("if anyof true { }", 1, "a list of tests"),
    ("if true, false { }", 1, "';' is missing"),
    ("stop { }", 1, "no block"),
    ("discard\nkeep;", 1, "';' is missing before 'keep'"),
    ('"a";', 1, "a command is expected"),
    ("/* a", 1, "no end"),
    ('redirect "a', 1, "no end"),
    ("redirect text:\na\n", 1, "no end"),
    ("k\u00e4ep;", 1, "unexpected"),
    (b"# \xff\n", 1, "not UTF-8"),
    (b"#\n# \0\n", 2, "NUL"),
    ("if " + "not " * 40 + "true { }", 1, "deeper"),
    ("if true { " * 40 + "}" * 40, 1, "deeper"),
]


@pytest.mark.parametrize(("script", "expected"), ACTIONS)
def test_actions(script: str, expected: list[str]) -> None:
    assert actions(script) == expected
    assert actions(script.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize("test", TRUE)
def test_what_is_true(test: str) -> None:
    assert holds(test)


@pytest.mark.parametrize("test", FALSE)
def test_what_is_false(test: str) -> None:
    assert not holds(test)


@pytest.mark.parametrize(("script", "line", "reason"), PROBLEMS)
def test_what_is_no_script(script: str, line: int, reason: str) -> None:
    with pytest.raises(SieveProblem) as caught:
        compile(script)
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_a_run_that_fails_keeps_the_message() -> None:
    found = actions("".join(f'redirect "a{n}@x.test";\n' for n in range(5)))
    assert found == ["line 5: more than 4 redirects", "keep"]


def test_a_trace_says_which_line_did_what() -> None:
    found = outcome('if anyof (header "a" "b",\n exists "to") {\n discard;\n}', trace=True)
    assert [event.line for event in found.trace] == [2, 1, 3]


def test_what_is_announced_can_be_required() -> None:
    for name in capabilities():
        compile(f'require "{name}"; keep;')
    for name in EXTENSIONS:
        compile(f'require "{name}"; keep;')


def test_the_examples_of_the_documentation_are_scripts() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sieve.md").read_text(encoding="utf-8")
    examples = re.findall(r"```sieve\n(.*?)```", text, re.DOTALL)
    assert len(examples) > 3
    for example in examples:
        compile(example)


def test_the_documentation_names_what_is_announced() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sieve.md").read_text(encoding="utf-8")
    assert [name for name in capabilities() if f"`{name}`" not in text] == []
