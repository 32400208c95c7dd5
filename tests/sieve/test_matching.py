"""Match types and comparators: wildcards, regular expressions, order and count; captures go to variables."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.sieve.comparator import CASEMAP, NUMERIC, OCTET
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.regex import KNOWN, KNOWN_SETS, Regex
from mailstack.sieve.script import compile
from mailstack.sieve.wildcard import Wildcard
from tests.support.sieve import actions, holds

WILDCARDS = [
    ("abcabc", "*b*", ["a", "cabc"]),
    ("a.b.c", "*.?.*", ["a", "b", "c"]),
    ("hello", "h*l?", ["el", "o"]),
    ("hello", "*", ["hello"]),
    ("x*y", r"x\*?", ["y"]),
    ("aaa", "*a", ["aa"]),
    ("aaa", "?*", ["a", "aa"]),
    ("[x] y", "[*] *", ["x", "y"]),
    ("abc", "a*c*", ["b", ""]),
    ("abcc", "a*c", ["bc"]),
    ("", "*", [""]),
    ("", "", []),
    ("abc", "a*b", None),
    ("ab", "a*b*c", None),
    ("a", "?*?", None),
    ("a", "", None),
    ("aXb", "a\\Xb", []),
]
EXPRESSIONS = [
    ("a(b)c|(x)", "yabcx", ["abc", "b", ""]),
    ("(.*)X(.*)", "aXbXc", ["aXbXc", "aXb", "c"]),
    ("(a|ab)(c|bcd)(d*)", "abcd", ["abcd", "a", "bcd", ""]),
    ("^([^:]*): *(.*)$", "foo: bar", ["foo: bar", "foo", "bar"]),
    (r"\[([^]]+)\]", "[list] Re: x", ["[list]", "list"]),
    ("(abc){2}", "abcabc", ["abcabc", "abc"]),
    ("[[:digit:]]+", "x17y", ["17"]),
    (r"\bfo+\b", "a foo.", ["foo"]),
    (r"\<b\>", "ab b", ["b"]),
    ("a{2,3}", "caaaat", ["aaa"]),
    ("x*", "abc", [""]),
    ("^$", "", [""]),
    ("a|ab|abc", "abcd", ["abc"]),
    ("[]a]+", "x]a", ["]a"]),
    ("[^]a]", "]ab", ["b"]),
    ("[a-]+", "b-a", ["-a"]),
    ("[[.a.][=b=]]+", "cab", ["ab"]),
    (r"\w+\s\d", "ab 1", ["ab 1"]),
    (r"\W\S\D", "a.bc", [".bc"]),
    ("b", "ac", None),
    ("^b", "ab", None),
    ("a$", "ab", None),
]
NO_EXPRESSIONS = [
    "(",
    ")",
    "*",
    "a|*",
    "[",
    "[a",
    "[z-a]",
    "[[:foo:]]",
    "a{",
    "a{x}",
    "a{3,2}",
    "a{256}",
    "\\",
    "^*",
    "[[.ab.]]",
]


@pytest.mark.parametrize(("text", "pattern", "expected"), WILDCARDS)
def test_wildcards(text: str, pattern: str, expected: list[str] | None) -> None:
    spans = Wildcard(pattern).match(text)
    assert (None if spans is None else [text[start:end] for start, end in spans]) == expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
@settings(max_examples=100, deadline=None)
def test_wildcards_match_what_expressions_do(pattern: str, text: str) -> None:
    model = re.fullmatch("".join({"*": "(.*?)", "?": "(.)"}.get(one, one) for one in pattern), text)
    spans = Wildcard(pattern).match(text)
    assert (spans is None) is (model is None)
    if model is not None and spans is not None:
        assert [text[start:end] for start, end in spans] == list(model.groups())


def test_wildcards_never_go_back() -> None:
    assert Wildcard("*a" * 500 + "b").match("a" * 100_000) is None


def exact(character: str) -> tuple[str, ...]:
    return (character,)


@pytest.mark.parametrize(("pattern", "text", "expected"), EXPRESSIONS)
def test_expressions(pattern: str, text: str, expected: list[str] | None) -> None:
    regex = Regex(pattern, 1000, exact)
    spans = regex.spans(text, lambda work: None)
    assert regex.found(text, lambda work: None) is (expected is not None)
    assert (None if spans is None else [text[start:end] for start, end in spans]) == expected


@pytest.mark.parametrize("pattern", NO_EXPRESSIONS)
def test_what_is_no_expression(pattern: str) -> None:
    with pytest.raises(SyntaxProblem):
        Regex(pattern, 1000, exact)


@pytest.mark.parametrize("pattern", ["(a{200}){200}", "((a*)*" * 30, "a" * 2000, "(" * 100])
def test_expressions_have_a_size(pattern: str) -> None:
    with pytest.raises(SyntaxProblem):
        Regex(pattern, 1000, exact)


PIECE = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\b", "^", "$", "x"])
PATTERN = st.recursive(
    PIECE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: "(" + "|".join(each) + ")"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=8,
)


@given(PATTERN, st.text("ab x", max_size=8))
@settings(max_examples=150, deadline=None)
def test_expressions_find_what_others_find(pattern: str, text: str) -> None:
    regex, model = Regex(pattern, 5000, exact), re.search(pattern, text)
    spans = regex.spans(text, lambda work: None)
    assert regex.found(text, lambda work: None) is (model is not None)
    if model is not None and spans is not None:
        assert spans[0][0] == model.start()
        assert spans[0][1] >= model.end()  # the longest, not the first


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(a+a+)+y", ".*.*.*=.*"])
def test_expressions_take_time_in_proportion(pattern: str) -> None:
    work = [0, 0]
    for place, size in enumerate((1000, 10_000)):

        def spend(amount: int, place: int = place) -> None:
            work[place] += amount

        assert not Regex(pattern, 1000, exact).found("a" * size + "x", spend)
    assert work[1] < 11 * work[0]


def test_captures_go_to_variables() -> None:
    head = 'require ["variables", "fileinto", "regex"];\n'
    assert actions(head + 'if header :matches "subject" "[*] * present*" { fileinto "${1}|${2}|${3}|${4}"; }') == [
        "file acme|I have a| für you|"
    ]
    assert actions(head + 'if header :regex "subject" "([a-z]+) +PRES" { fileinto "${0}|${1}"; }') == ["file a pres|a"]
    assert actions(head + 'if address :matches "from" "*@*" { if false {} fileinto "${2}"; }') == ["file desert.example.org"]
    # A test that is false leaves what an earlier one matched.
    assert actions(head + 'if header :matches "subject" "[*]*" {} if header :matches "subject" "x*" {} fileinto "${1}";') == [
        "file acme"
    ]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (':comparator "i;ascii-numeric" :value "gt" "x-score" "16"', True),
        (':comparator "i;ascii-numeric" :value "lt" "x-score" "4"', False),
        (':comparator "i;ascii-numeric" :value "le" "x-score" "004"', True),
        (':comparator "i;ascii-numeric" :value "gt" "subject" "99"', True),  # no number: infinity
        (':comparator "i;ascii-numeric" :is "x-score" "17xyz"', True),
        (':comparator "i;ascii-numeric" :count "eq" "x-score" "2"', True),
        (':comparator "i;ascii-numeric" :count "ne" "x-none" "0"', False),
        (':value "lt" "x-score" "3"', True),
        (':value "ge" "subject" "[acme] h"', True),
        (':regex "subject" "^\\\\[ACME\\\\]"', True),
        (':regex :comparator "i;octet" "subject" "ACME"', False),
        (':comparator "i;unicode-casemap" :contains "subject" "FÜR"', True),
        (':contains "subject" "FÜR"', False),
        (':comparator "i;unicode-casemap" :matches "subject" "*FÜR*"', True),
    ],
)
def test_headers(test: str, expected: bool) -> None:
    require = "relational regex comparator-i;ascii-numeric comparator-i;unicode-casemap"
    assert holds(f"header {test}", require) is expected


@pytest.mark.parametrize(
    "test",
    [
        ':comparator "i;ascii-numeric" :contains "a" "b"',
        ':value "a" "b"',
        ':value "xx" "a" "b"',
        ':regex "a" "("',
        ':value "gt" :count "gt" "a" "b"',
    ],
)
def test_what_is_no_match(test: str) -> None:
    with pytest.raises(SieveProblem):
        compile(f'require ["relational", "regex", "comparator-i;ascii-numeric"]; if header {test} {{ }}')


def test_collations() -> None:
    assert CASEMAP.fold("aZä") == "AZä"
    assert OCTET.key("a") > OCTET.key("B")
    assert NUMERIC.key("0" * 100_000 + "7") == NUMERIC.key("7x")
    assert NUMERIC.key("9" * 100_000) < NUMERIC.key("")


def test_what_a_pattern_learns_of_texts_is_forgotten_again() -> None:
    chance, regex = random.Random(1), Regex("(a|b)*a(a|b){12}c", 1000, exact)
    for _ in range(4):
        letters = "ab" + chr(chance.randrange(200, 9000))
        regex.found("".join(chance.choice(letters) for _ in range(2000)), lambda work: None)
    stack, seen, kept = [regex._first], {id(regex._first)}, 0
    while stack:
        one = stack.pop()
        kept += len(one.states) + len(one.next)
        fresh = [other for other in one.next.values() if id(other) not in seen]
        seen |= {id(other) for other in fresh}
        stack += {id(other): other for other in fresh}.values()
    assert len(seen) <= KNOWN_SETS + 1
    assert kept <= KNOWN + KNOWN_SETS


def test_all_patterns_of_a_script_have_a_limit_together() -> None:
    keys = ", ".join(f'"{number}(a{{20}}){{20}}"' for number in range(60))
    with pytest.raises(SieveProblem, match="too large together"):
        compile(f'require "regex"; if header :regex "subject" [{keys}] {{ keep; }}')
