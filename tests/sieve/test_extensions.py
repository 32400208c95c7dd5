"""Extensions that ask nothing: variables, flags, dates, subaddresses, bodies, surroundings, ihave, encoded characters."""

from dataclasses import replace

import pytest

from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import compile
from tests.support.sieve import ENVIRONMENT, MESSAGE, actions, holds

VARIABLES = 'require ["variables", "fileinto", "imap4flags", "enotify", "regex", "encoded-character"];\n'
FILED = [
    ('set "a" "x"; fileinto "${a}${A}${b}y";', "xxy"),
    ('set "_a1" "x"; fileinto "${_a1}";', "x"),
    ('set "a" "${"; fileinto "<${a}>";', "<${>"),
    ('set "a" "${a b}"; fileinto "<${a}>";', "<${a b}>"),
    ('fileinto "<$${x}>";', "<$>"),
    ('set :upper "a" "xä"; fileinto "${a}";', "XÄ"),
    ('set :upperfirst :lower "a" "FOO Bar"; fileinto "${a}";', "Foo bar"),
    ('set :lowerfirst :upper "a" "foo bar"; fileinto "${a}";', "fOO BAR"),
    ('set :length "a" "foö"; fileinto "${a}";', "3"),
    ('set :quotewildcard "a" "a*b?c\\\\d"; fileinto "${a}";', "a\\*b\\?c\\\\d"),
    ('set :quoteregex "a" "a*(b)"; fileinto "${a}";', "a\\*\\(b\\)"),
    ('set :encodeurl "a" "a b/c?ü-_.~"; fileinto "${a}";', "a%20b%2Fc%3F%C3%BC-_.~"),
    ('set :length :upper :quotewildcard "a" "a*"; fileinto "${a}";', "3"),
    ('fileinto "${hex:24 61}${unicode: 0000fc}$${hex:zz}";', "$aü$${hex:zz}"),
    ('if string :matches "a.b" "*.*" { fileinto "${2}${1}${3}"; }', "ba"),
]
NO_SCRIPTS = [
    'set "a.b" "x";',
    'set "1" "x";',
    'set "a b" "x";',
    'set "${a}" "x";',
    'set :upper :lower "a" "x";',
    'set :foo "a" "x";',
    'fileinto "${foo.bar}";',
    'fileinto "${unicode:d800}";',
    'fileinto "${unicode:110000}";',
    'fileinto "${hex:ff}";',
    'set "global.a" "x";',
]


@pytest.mark.parametrize(("script", "mailbox"), FILED)
def test_variables(script: str, mailbox: str) -> None:
    assert actions(VARIABLES + script) == [f"file {mailbox}"]


@pytest.mark.parametrize("script", NO_SCRIPTS)
def test_what_is_no_use_of_variables(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(VARIABLES + script)


def test_values_have_a_limit() -> None:
    grow = 'set "a" "${a}${a}x";' * 40
    length = 'set :length "n" "${a}"; fileinto "${n}";'
    assert actions(VARIABLES + grow + length) == ["file 8192"]
    many = "".join(f'set "v{number}" "x";' for number in range(300))
    assert "more than 256 variables" in actions(VARIABLES + many)[0]


def test_without_variables_a_dollar_is_a_dollar() -> None:
    assert actions('require "fileinto"; fileinto "${a}";') == ["file ${a}"]


FLAGGED = [
    ('setflag "\\\\Seen"; addflag ["a", "b c"]; removeflag "B"; keep;', "keep with \\Seen a c"),
    ('setflag "a"; keep :flags "x y";', "keep with x y"),
    ('setflag "a";', "keep with a"),
    ('setflag ["\\\\seen", "seen", "\\\\Recent", "a(b"]; keep;', "keep with \\Seen seen"),
    ('addflag "A"; addflag "a"; keep;', "keep with A"),
    ('set "v" "x"; addflag "v" "y"; keep :flags "${v}";', "keep with x y"),
    ('setflag "a b"; removeflag ["a", "b"]; keep;', "keep"),
    ('setflag "a b"; if hasflag "x b" { discard; }', "discard"),
    ('setflag "a b"; if not hasflag "x" { discard; }', "discard"),
    ('setflag "abc"; if hasflag :contains "b" { discard; }', "discard"),
    ('setflag "v" "a b"; if allof (hasflag "v" "a", not hasflag "a") { discard; }', "discard"),
]


@pytest.mark.parametrize(("script", "expected"), FLAGGED)
def test_flags(script: str, expected: str) -> None:
    assert actions(VARIABLES + script) == [expected]


def test_what_is_filed_twice_has_the_flags_of_both() -> None:
    assert actions(VARIABLES + 'fileinto :flags "a" "A"; fileinto :flags "b" "A";') == ["file A with a b"]


DATES = [
    ('date "date" "year" "1997"', True),
    ('date "date" "hour" "19"', True),  # in the user's zone
    ('date :zone "-0800" "date" "hour" "09"', True),
    ('date :originalzone "date" "zone" "-0800"', True),
    ('date :originalzone "date" "iso8601" "1997-04-01T09:06:31-08:00"', True),
    ('date :zone "+0000" "date" "iso8601" "1997-04-01T17:06:31Z"', True),
    ('date :originalzone "date" "std11" "Tue, 01 Apr 1997 09:06:31 -0800"', True),
    ('date "date" "weekday" "2"', True),
    ('date "date" "julian" "50539"', True),
    ('date "date" "time" "19:06:31"', True),
    ('date :value "lt" "date" "date" "1997-04-02"', True),
    ('date "subject" "year" "1997"', False),
    ('date :matches "x-none" "year" "*"', False),
    ('currentdate "iso8601" "2026-03-04T05:06:07+02:00"', True),
    ('currentdate :zone "+0000" "hour" "03"', True),
    ('currentdate :value "ge" "date" "2026-03-01"', True),
    ('header :index 1 "x-score" "17"', True),
    ('header :index 1 :last "x-score" "17"', False),
    ('header :index 3 "x-score" "17"', False),
    ('address :index 1 "to" "roadrunner+birds@acme.example.com"', True),
]


@pytest.mark.parametrize(("test", "expected"), DATES)
def test_dates(test: str, expected: bool) -> None:
    assert holds(test, "date relational index") is expected


@pytest.mark.parametrize(
    "date", ["Tue, 1 Apr 99999 09:06:31 -0800", "1 Apr 0001 00:00:00 +2359", "x" * 10_000, "1 Jan 9999 23:00:00 -2300"]
)
def test_odd_dates(date: str) -> None:
    message = f"Date: {date}\r\n\r\n".encode()
    for part in ("iso8601", "std11", "julian", "zone", "weekday"):
        assert actions(f'require "date"; if date :matches "date" "{part}" "*" {{ discard; }}', message=message)


@pytest.mark.parametrize("test", ['date :zone "x" "date" "year" "1"', 'date "date" "era" "1"', 'date "a b" "year" "1"'])
def test_what_is_no_date(test: str) -> None:
    with pytest.raises(SieveProblem):
        holds(test, "date")


ADDRESSES = [
    ('address :detail "to" "birds"', True),
    ('address :user "to" "roadrunner"', True),
    ('address :detail :contains "from" ""', False),
    ('address :user "from" "coyote"', True),
    ('envelope :detail "to" "birds"', True),
    ('envelope "from" "coyote@desert.example.org"', True),
    ('envelope :domain "from" "example.org"', False),
]


@pytest.mark.parametrize(("test", "expected"), ADDRESSES)
def test_addresses(test: str, expected: bool) -> None:
    assert holds(test, "subaddress envelope") is expected


def test_the_null_sender_is_empty() -> None:
    around = replace(ENVIRONMENT, sender=None)
    for part in ("all", "localpart", "domain"):
        assert holds(f'envelope :{part} "from" ""', "envelope", environment=around)


NESTED = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\nprologue\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>h&eacute;llo</p>"
    b"<a href='http://x.test/'>there</a>\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"d29ybGQ=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep\r\n--b--\r\nepilogue\r\n"
)
BODIES = [
    (':contains "héllo there"', True),
    (':contains "world"', True),
    (':contains "deep"', True),
    (':contains "<p>"', False),
    (':raw :contains "<p>"', True),
    (':raw :contains "d29ybGQ="', True),
    (':raw :contains "world"', False),
    (':content "text/html" :contains "<p>"', True),
    (':content "text" :contains "world"', True),
    (':content "text/plain" :contains "h&eacute;llo"', False),
    (':content "multipart" :contains "prologue"', True),
    (':content "multipart" :contains "epilogue"', True),
    (':content "multipart" :contains "world"', False),
    (':content "message" :contains "inner"', True),
    (':content "message/rfc822" :contains "deep"', False),
    (':content "" :contains "deep"', True),
    (':content ["image", "text/"] :contains ""', False),
]


@pytest.mark.parametrize(("test", "expected"), BODIES)
def test_bodies(test: str, expected: bool) -> None:
    assert holds(f"body {test}", "body", message=NESTED) is expected


def test_a_body_sets_no_variables() -> None:
    script = VARIABLES.replace('"regex"', '"body"') + 'if body :matches "*anvil*" { fileinto "<${1}>"; }'
    assert actions(script) == ["file <>"]


ITEMS = {"name": "mailstack", "location": "MDA", "imap.cause": "APPEND"}
SURROUNDINGS = [
    ('environment :matches "NAME" "mail*"', True),
    ('environment "imap.cause" "append"', True),
    ('environment :contains "vnd.x" ""', False),
    ('spamtest :value "ge" :comparator "i;ascii-numeric" "5"', True),
    ('spamtest "6"', True),
    ('spamtest :percent "60"', True),
    ('spamtest :count "ge" :comparator "i;ascii-numeric" "1"', True),
    ('virustest "0"', True),
    ('virustest :count "eq" :comparator "i;ascii-numeric" "0"', True),
]


@pytest.mark.parametrize(("test", "expected"), SURROUNDINGS)
def test_surroundings(test: str, expected: bool) -> None:
    require = "environment spamtest spamtestplus virustest relational comparator-i;ascii-numeric"
    assert holds(test, require, environment=replace(ENVIRONMENT, items=ITEMS, spam=60.0)) is expected


def test_spam_that_nobody_looked_for() -> None:
    assert holds('spamtest "0"', "spamtest")
    assert holds('virustest "4"', "virustest", environment=replace(ENVIRONMENT, virus=4))
    assert [
        holds(f'spamtest "{n}"', "spamtest", environment=replace(ENVIRONMENT, spam=s)) for n, s in ((1, 0.0), (10, 100.0))
    ] == [True] * 2


IHAVE = 'require "ihave";\n'
CONDITIONAL = [
    ('if ihave "fileinto" { fileinto "a"; }', ["file a"]),
    ('if ihave "nothing" { unknown 1 2 :x; } else { discard; }', ["discard"]),
    ('if not ihave ["fileinto", "nothing"] { discard; stop; } unknown;', ["discard"]),
    ('if ihave "nothing" { discard; } unknown;', ["line 2: unknown command 'unknown'", "keep"]),
    ('if not ihave "nothing" { error "no way"; }', ["line 2: error: no way", "keep"]),
]


@pytest.mark.parametrize(("script", "expected"), CONDITIONAL)
def test_ihave(script: str, expected: list[str]) -> None:
    assert actions(IHAVE + script) == expected


def test_ihave_does_not_make_mistakes_right() -> None:
    for script in ('if ihave "fileinto" { unknown; }', 'fileinto "a"; if ihave "fileinto" { }'):
        with pytest.raises(SieveProblem):
            compile(IHAVE + script)


REJECTED = [
    ('require "reject"; reject "no";', ["reject no"]),
    ('require "ereject"; discard; ereject "no";', ["discard", "reject no"]),
    ('require "reject"; keep; reject "no";', ["line 1: a message that is rejected can't be kept, sent on or answered", "keep"]),
    ('require "reject"; reject "a";\nreject "b";', ["line 2: a message can be rejected only once", "keep"]),
    ('require "reject"; redirect "a@x.test"; reject "b";',
     ["line 1: a message that is rejected can't be kept, sent on or answered", "keep"]),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), REJECTED)
def test_rejects(script: str, expected: list[str]) -> None:
    assert actions(script) == expected


def test_work_has_a_limit() -> None:
    message = MESSAGE.replace(b"Subject: ", b"Subject: " + b"x" * 100_000)
    script = 'if header :contains "subject" ["' + '", "'.join(f"y{n}" for n in range(1000)) + '"] {}\n'
    found = actions(script * 5, message=message, limits=Limits(work=1_000_000))
    assert found == ["line 1: the script looks at more text than one run may", "keep"]


EVENT = replace(ENVIRONMENT, event=True, flags=("\\Seen", "x"))
EVENTS = 'require ["imapsieve", "fileinto", "copy", "imap4flags", "envelope"];'
HAPPENED = [
    ("keep;", ['line 1: it has no require "imapsieve", and can\'t be run on what happens in a mailbox', "keep"]),
    (
        EVENTS + 'require "vacation";',
        ["line 1: vacation is only for mail that is delivered, not for what happens in a mailbox", "keep"],
    ),
    (EVENTS + 'keep; fileinto "INBOX"; addflag "y";', ["keep with \\Seen x", "file INBOX with \\Seen x"]),
    (EVENTS + 'fileinto :copy "INBOX"; addflag "y";', ["file INBOX with \\Seen x", "keep with \\Seen x y"]),
    (EVENTS + 'if hasflag "X" { discard; }', ["discard"]),
    (EVENTS + 'if envelope "to" "x" { discard; }', ["line 1: envelope: what is in a mailbox has no envelope", "keep"]),
]


@pytest.mark.parametrize(("script", "found"), HAPPENED)
def test_what_happens_in_a_mailbox_is_no_delivery(script: str, found: list[str]) -> None:
    assert actions(script, environment=EVENT) == found
