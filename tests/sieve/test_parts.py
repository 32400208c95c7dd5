"""Parts of a message: foreverypart, break, the tests' :mime, extracttext (RFC 5703)."""

import pytest

from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import compile
from tests.support.sieve import PARTS, actions

HEAD = """require ["foreverypart", "mime", "extracttext", "variables", "fileinto", "copy", "relational", "mailbox",
"comparator-i;ascii-numeric"];
"""
TYPES = 'if header :mime :contenttype :matches "content-type" "*" { fileinto :copy "${1}"; }'
LEAVE = 'break :name "a";'
ALL = ["multipart/mixed", "text/plain", "multipart/alternative", "text/html", "Application/PDF", "message/rfc822"]


def shown(test: str) -> str:
    return f'foreverypart {{ if {test} {{ fileinto :copy "<${{0}}>"; }} }}'


FILED = [
    (f"foreverypart {{ {TYPES} }}", ALL),
    (f"foreverypart {{ foreverypart {{ {TYPES} }} }}", ALL[1:]),
    (f'foreverypart {{ if mailboxexists "x" {{ stop; }} {TYPES} }}', ALL),
    (f"foreverypart {{ {TYPES.replace('; }', '; break; }')} }}", ALL[:1]),
    (f'foreverypart :name "a" {{ foreverypart {{ {TYPES.replace("; }", f"; {LEAVE} }}")} }} }}', ["text/plain"]),
    (shown('header :mime :type :matches "content-type" "*"'), ["<multipart>", "<text>", "<Application>", "<message>"]),
    (
        shown('header :mime :subtype :matches "content-type" "*"'),
        ["<mixed>", "<plain>", "<alternative>", "<html>", "<PDF>", "<rfc822>"],
    ),
    (shown('header :mime :type :matches "content-disposition" "*"'), ["<attachment>", "<inline>"]),
    (shown('header :mime :param "filename" :matches "content-disposition" "*"'), ["<ä.pdf>"]),
    (shown('header :mime :param ["charset", "name"] :matches "content-type" "*"'), ["<utf-8>", "<A b.pdf>", "<iso-8859-1>"]),
    (shown('header :mime :matches "subject" "*"'), ["<outer>", "<inner>"]),
    (shown('header :matches "subject" "*"'), ["<outer>"]),
    (shown('address :mime :localpart :matches "from" "*"'), ["<a>", "<inner>"]),
    ('foreverypart { extracttext "x"; fileinto :copy "<${x}>"; }', ["<>", "<hello wörld>", "<html text>", "<deeäp>"]),
    ('foreverypart { extracttext :first 4 :upper "x"; fileinto :copy "<${x}>"; }', ["<>", "<HELL>", "<HTML>", "<DEEÄ>"]),
]
TRUE = [
    ('header :mime :anychild :contenttype "content-type" "application/pdf"', True),
    ('header :mime :contenttype "content-type" "application/pdf"', False),
    ('header :mime :contenttype "content-type" "multipart/mixed"', True),
    ('header :mime :anychild :param "filename" :contains "content-disposition" ".pdf"', True),
    ('exists :mime :anychild "content-disposition"', True),
    ('exists :mime "content-disposition"', False),
    ('address :mime :anychild "from" "inner@z.test"', True),
    ('address :mime "from" "inner@z.test"', False),
    ('header :mime :anychild :count "eq" :comparator "i;ascii-numeric" "content-type" "7"', True),
]
WRONG = [
    'if header :anychild "from" "x" { }',
    'if header :type "content-type" "x" { }',
    'if header :mime :type :subtype "content-type" "x" { }',
    "break;",
    'foreverypart { break :name "x"; }',
    'extracttext "x";',
    'foreverypart { extracttext "a b"; }',
    'foreverypart :name "a" :name "b" { }',
    "foreverypart;",
]


@pytest.mark.parametrize(("script", "expected"), FILED)
def test_what_loops_see(script: str, expected: list[str]) -> None:
    assert actions(HEAD + script, message=PARTS) == [*(f"file {name}" for name in expected), "keep"]


@pytest.mark.parametrize(("test", "expected"), TRUE)
def test_what_tests_see(test: str, expected: bool) -> None:
    assert actions(HEAD + f"if {test} {{ discard; }}", message=PARTS) == (["discard"] if expected else ["keep"])


@pytest.mark.parametrize("script", WRONG)
def test_what_is_wrong(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(HEAD + script)


def test_loops_end_with_the_script() -> None:
    assert actions(HEAD + "foreverypart { stop; } discard;", message=PARTS) == ["keep"]
    again = 'foreverypart { foreverypart { break; } if header :mime "subject" "outer" { discard; } }'
    assert actions(HEAD + again, message=PARTS) == ["discard"]


def test_steps_in_loops_count() -> None:
    many = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 900
    found = actions(HEAD + "foreverypart { " + 'set "a" "b";' * 100 + "}", message=many, limits=Limits(work=1_000_000))
    assert "more text" in found[0]


def test_loops_have_a_limit() -> None:
    many = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 900
    loop = "foreverypart { " * 3 + 'if header :mime :anychild "a" "b" { }' + " }" * 3
    assert actions(HEAD + f"foreverypart {{ {loop} }}" * 5, message=many, limits=Limits(work=1_000_000))[-1] == "keep"
