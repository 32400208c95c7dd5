"""Sieve beside Dovecot's `sieve-test`: the same scripts over the same mails, and what is told apart."""

import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from tests.support.corpus import mails
from tests.support.sieve import MESSAGE, PARTS, actions
from tests.support.sievetest import SieveTest

pytestmark = pytest.mark.clients

HEAD = """require ["fileinto", "copy", "envelope", "subaddress", "imap4flags", "variables", "relational", "regex", "body",
"date", "index", "encoded-character", "environment", "ihave", "mailbox", "enotify", "editheader", "comparator-i;ascii-numeric"];
"""
NUMERIC = ':comparator "i;ascii-numeric"'


@pytest.fixture(scope="module")
def dovecot() -> Iterator[SieveTest]:
    folder = Path(tempfile.mkdtemp(prefix="mailstack-sieve-"))
    folder.chmod(0o755)
    yield SieveTest(folder)
    shutil.rmtree(folder)


def ours(script: str, message: bytes = MESSAGE) -> list[str]:
    """As the other one is told: whatever is wrong is "no script" or "error"."""
    try:
        found = actions(script, message=message, limits=Limits(actions=1000))
    except SieveProblem:
        return ["no script"]
    return ["error", "keep"] if found[0].startswith("line ") else found


def same(mine: list[str], theirs: list[str]) -> bool:
    """Without the case of flags, and with INBOX as it is called here and there."""
    return [one.lower().replace("file inbox", "keep") for one in mine] == [one.lower() for one in theirs]


TESTS = rf"""
header :is "SUBJECT" "[ACME] i have a present für you"
header :matches "subject" "*present*"
header :contains "x-empty" ""
header :is "x-empty" ""
header :matches "x-empty" "*"
header :matches "x-empty" "?"
header :contains "x-none" ""
header :count "eq" {NUMERIC} "x-score" "2"
header :count "eq" "x-score" "2"
header :count "gt" {NUMERIC} ["x-score","x-none"] "1"
header :value "gt" {NUMERIC} "x-score" "16"
header :value "lt" {NUMERIC} "x-score" "5"
header :value "eq" {NUMERIC} "x-score" "004"
header :value "ge" {NUMERIC} "subject" "5"
header :value "eq" {NUMERIC} "subject" "foo"
header :is {NUMERIC} "x-score" "17abc"
header :contains {NUMERIC} "x-score" "1"
address :all "from" "coyote@desert.example.org"
address :localpart "from" "COYOTE"
address :is :domain "to" ["acme.example.com"]
address :detail "to" "birds"
address :user "to" "roadrunner"
address :detail "from" ""
address :detail :contains "from" ""
address :user "from" "coyote"
address :contains "cc" "team"
address :localpart :contains "cc" "team"
address :count "eq" {NUMERIC} "cc" "2"
address :count "eq" {NUMERIC} ["to","cc"] "4"
address "subject" "x"
address "x-foo" "x"
envelope "from" "coyote@desert.example.org"
envelope :detail "to" "birds"
envelope :user "to" "roadrunner"
envelope "foo" "x"
envelope :count "eq" {NUMERIC} ["from","to"] "2"
exists ["to","x-none"]
exists "x-empty"
exists []
size :over 100
size :under 1K
size :over 1M
size :over 1000
not not true
anyof (false)
anyof ()
allof (true)
header :regex "subject" "pre[s-t]ent"
header :regex "subject" "^\\[acme\\] .*you$"
header :regex :comparator "i;octet" "subject" "PRESENT"
header :regex "subject" "PRESENT"
header :regex "subject" "a{{2}}|x{{1,2}}|pres"
header :regex "subject" "(a|b)*c"
header :regex "subject" "[[:alpha:]]+ you"
header :regex "subject" "*"
header :regex "subject" "("
header :regex "subject" "[z-a]"
header :regex "subject" "a{{1"
header :regex "subject" "\\w+"
header :regex "subject" "()"
header :regex "subject" ""
header :regex "subject" "a||b"
header :regex "subject" "a**"
header :regex "subject" "a+?"
header :regex "subject" "\\bpresent\\b"
header :regex "subject" "\\<pres"
header :regex "subject" "\\Bresent"
header :regex "subject" "you\\b"
header :regex "subject" "[]a]"
header :regex "subject" "[^]a]"
header :regex "subject" "[a-]"
header :regex "subject" "[[.a.]]c"
header :regex "subject" "a{{,2}}"
header :regex "subject" "{{"
header :regex "subject" "x$|^\\["
header :regex "x-empty" "^$"
body :contains "anvil"
body :raw :contains "anvil"
body :content "text" :contains "anvil"
body :content "text/plain" :contains "anvil"
body :content "text/html" :contains "anvil"
body :content "" :contains "anvil"
body :content "/" :contains "anvil"
body :content "text/" :contains "anvil"
body :matches "*anvil*"
body :count "eq" {NUMERIC} "1"
date "date" "year" "1997"
date "date" "month" "04"
date "date" "hour" "19"
date :zone "-0800" "date" "hour" "09"
date :originalzone "date" "hour" "09"
date :originalzone "date" "zone" "-0800"
date "date" "zone" "+0200"
date :originalzone "date" "iso8601" "1997-04-01T09:06:31-08:00"
date :originalzone "date" "std11" "Tue, 01 Apr 1997 09:06:31 -0800"
date "date" "weekday" "2"
date "date" "julian" "50539"
date "date" "time" "19:06:31"
date "date" "date" "1997-04-01"
date "subject" "year" "1"
currentdate :value "ge" "year" "2020"
currentdate :matches "zone" "+0200"
header :index 1 "x-score" "17"
header :index 2 "x-score" "17"
header :index 1 :last "x-score" "4"
header :last "x-score" "4"
header :index 0 "x-score" "4"
header :index 3 "x-score" "4"
address :index 1 "to" "roadrunner+birds@acme.example.com"
string "a" "a"
string :count "eq" {NUMERIC} ["a","","b"] "2"
string "${{foo}}" ""
string "${{1}}" ""
string "$@" "${{hex:24 40}}"
string "ü" "${{hex:c3 bc}}"
string "ü" "${{unicode:fc}}"
string "${{unicode:d800}}" "x"
string "${{hex: zz}}" "x"
environment :matches "vnd.foo" "*"
ihave "fileinto"
ihave ["fileinto","foo"]
valid_notify_method ["mailto:a@x.test","foo"]
valid_notify_method "xmpp:a@x.test"
valid_notify_method "mailto:a@x.test?subject=x&body=y"
valid_notify_method "mailto:a"
notify_method_capability "mailto:a@x.test" "Online" "maybe"
notify_method_capability "mailto:a@x.test" "Online" "yes"
mailboxexists "nowhere"
hasflag "a"
header :comparator "i;foo" "a" "b"
header :is :is "a" "b"
header ["a"] ["b"] "c"
header :value "foo" "a" "b"
header "subject" 5
""".strip().split("\n")

DIFFERENT = {
    'header :value "lt" "subject" "a"': "i;ascii-casemap sorts by capitals (RFC 4790 9.2), there by small letters",
    'header :regex "subject" "f.r"': "a character is one, there an octet",
    'header :regex "subject" ")"': "a parenthesis alone is a mistake",
    'date "date" "foo" "1"': "what can't be a date's part is a mistake, there it is false",
    'date :zone "foo" "date" "hour" "1"': "so is what is no zone",
    'string "${hex:ff}" "x"': "so are octets that are no UTF-8",
    'string "${foo.bar}" "x"': "a namespace that there is not is a mistake (RFC 5229 3), there it is empty",
    'valid_notify_method "mailto:"': "a notice without a recipient goes nowhere",
}


@pytest.mark.parametrize("test", TESTS)
def test_tests(dovecot: SieveTest, test: str) -> None:
    script = f"{HEAD}if {test} {{ keep; }} else {{ discard; }}"
    assert ours(script) == dovecot.actions(script, MESSAGE)


@pytest.mark.parametrize("test", DIFFERENT)
def test_what_is_known_to_differ_does(dovecot: SieveTest, test: str) -> None:
    script = f"{HEAD}if {test} {{ keep; }} else {{ discard; }}"
    assert ours(script) != dovecot.actions(script, MESSAGE)


CAPTURES = [
    ("matches", "abcabc", "*b*"),
    ("matches", "a.b.c", "*.?.*"),
    ("matches", "hello", "h*l?"),
    ("matches", "x*y", "x\\\\*?"),
    ("matches", "aaa", "*a"),
    ("matches", "aaa", "?*"),
    ("matches", "[x] y", "[*] *"),
    ("matches", "abc", "a*c*"),
    ("matches", "abcc", "a*c"),
    ("matches", "foo@bar.baz", "*@*.*"),
    ("regex", "abcd", "(a|ab)(c|bcd)(d*)"),
    ("regex", "abab", "(ab)*"),
    ("regex", "foobar", "(o+)(b?)"),
    ("regex", "xxabcyy", "a(b)c|(x)"),
    ("regex", "aXbXc", "(.*)X(.*)"),
    ("regex", "aaa", "(a*)(a*)"),
    ("regex", "ab", "(a)|(b)"),
    ("regex", "abc", "(x)?abc"),
    ("regex", "abcabc", "(abc){2}"),
    ("regex", "foo: bar", "^([^:]*): *(.*)$"),
    ("regex", "[list] Re: x", "\\\\[([^]]+)\\\\]"),
    ("regex", "aab", "(a|aa)(ab|b)"),
    ("regex", "abcde", "(a(b(c)))(d)"),
    ("regex", "aba", "(a|b)*"),
    ("regex", "ababa", "(aba|ab|a)*"),
]


@pytest.mark.parametrize(("match", "text", "pattern"), CAPTURES)
def test_captures(dovecot: SieveTest, match: str, text: str, pattern: str) -> None:
    script = HEAD + f'if string :{match} "{text}" "{pattern}" {{ fileinto "<${{0}}|${{1}}|${{2}}|${{3}}|${{4}}>"; }}'
    assert ours(script) == dovecot.actions(script, MESSAGE)


SCRIPTS = [
    'set "a" "x"; fileinto "${a}${A}${b}y";',
    'set "a.b" "x";',
    'set "1" "x";',
    'set "_a1" "x"; fileinto "${_a1}";',
    'set :upper :lower "a" "x";',
    'set :upperfirst :lower "a" "FOO bar"; fileinto "${a}";',
    'set :lowerfirst :upper "a" "foo bar"; fileinto "${a}";',
    'set :length "a" "foö"; fileinto "${a}";',
    'set :quotewildcard "a" "a*b?c\\\\d"; fileinto "${a}";',
    'set :encodeurl "a" "a b/c?ü&=~-_."; fileinto "${a}";',
    'set :length :upper :quotewildcard "a" "a*"; fileinto "${a}";',
    'set "a" "${"; fileinto "<${a}>";',
    'set "a" "${a b}"; fileinto "<${a}>";',
    'set "a" "b"; set "${a}" "c";',
    'fileinto "<$${x}>";',
    'setflag "\\\\Seen"; addflag ["a","b c"]; removeflag "B"; keep;',
    'setflag "a"; keep :flags "x";',
    'setflag "a"; fileinto "A"; setflag "b"; keep;',
    'setflag ["\\\\Seen","seen","\\\\bogus","a(b"]; keep;',
    'addflag "\\\\SEEN"; addflag "\\\\seen"; keep;',
    'set "v" "x"; addflag "v" "y"; fileinto :flags "${v}" "A";',
    'setflag "a b"; if hasflag "b a" { keep; } else { discard; }',
    'setflag "a b"; if hasflag :contains "a" { keep; } else { discard; }',
    f'setflag "a b"; if hasflag :count "eq" {NUMERIC} "2" {{ keep; }} else {{ discard; }}',
    'setflag "v" "a b"; if hasflag "v" "a" { keep; } else { discard; }',
    'if header :matches ["x-none","x-score","subject"] ["4","*7"] { fileinto "${0}-${1}"; }',
    'if address :matches "from" "*@*" { fileinto "${1}|${2}"; }',
    'if envelope :matches "to" "*+*@*" { fileinto "${1}|${2}|${3}"; }',
    'if body :matches "*anvil*" { fileinto "<${1}>"; }',
    'if header :matches "subject" "[*] *" { if header :matches "subject" "zz*" {} fileinto "${1}"; }',
    'if header :matches "subject" "[*] *" { if header :matches "x-score" "4" {} fileinto "<${0}${1}>"; }',
    'if header :is "subject" "x" {} elsif header :matches "subject" "?acme? *" { fileinto "${1}${2}|${3}"; }',
    'if date :originalzone :matches "date" "date" "*-*-*" { fileinto "${1}.${2}.${3}"; }',
    'redirect "Foo <a@x.test>";',
    'redirect "a@x.test, b@x.test";',
    'redirect "foo";',
    'redirect "";',
    'fileinto "INBOX"; keep;',
    'fileinto "ä";',
    "if true { keep; } else if false { }",
    "if true { stop; } keep; discard;",
    "stop; foo;",
    "keep :foo;",
    'fileinto ["a"];',
    'set "x" text: # comment\n..a\nb\n.\n; if string :is "${x}" ".a${hex:0d 0a}b${hex:0d 0a}" { discard; }',
    'if ihave "nonexist" { foo bar; } else { discard; }',
    'error "bad";',
    'addheader "X-A" "b"; if header "x-a" "b" { discard; }',
    'addheader "X-A" "b"; deleteheader "x-a"; if not exists "x-a" { discard; }',
    'deleteheader :index 1 "x-score"; if header "x-score" "17" { discard; }',
    'deleteheader :index 1 :last "x-score"; if header "x-score" "17" { discard; }',
    'deleteheader :contains "x-score" "4"; if header "x-score" "17" { discard; }',
    'addheader :last "X-Score" "99"; if header :index 1 :last "x-score" "99" { discard; }',
    'addheader "Received" "x"; deleteheader "a b";',
    'redirect "a@x.test"; redirect "b@x.test"; redirect "c@x.test"; redirect "d@x.test"; redirect "e@x.test";',
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(dovecot: SieveTest, script: str) -> None:
    mine, theirs = ours(HEAD + script), dovecot.actions(HEAD + script, MESSAGE)
    assert same(mine, theirs), (mine, theirs)


TYPES = 'if header :mime :contenttype :matches "content-type" "*" { fileinto :copy "${1}"; }'
LOOPS = [
    "foreverypart { TYPES }",
    'foreverypart { if header :mime :type :matches "content-type" "*" { fileinto :copy "${1}"; } }',
    'foreverypart { if header :mime :subtype :matches "content-type" "*" { fileinto :copy "${1}"; } }',
    'foreverypart { if header :mime :type :matches "content-disposition" "*" { fileinto :copy "${1}"; } }',
    'foreverypart { if header :mime :subtype :matches "content-disposition" "*" { fileinto :copy "<${1}>"; } }',
    'foreverypart { if header :mime :contenttype :matches "content-disposition" "*" { fileinto :copy "<${1}>"; } }',
    'foreverypart { if header :mime :matches "subject" "*" { fileinto :copy "<${1}>"; } }',
    'foreverypart { if header :matches "subject" "*" { fileinto :copy "<${1}>"; } }',
    "foreverypart { foreverypart { TYPES } }",
    "foreverypart { foreverypart { TYPES_ONCE } }",
    'foreverypart :name "a" { foreverypart { TYPES_ALL } }',
    'foreverypart { if exists :mime "content-disposition" { TYPES } }',
    'if header :mime :anychild :contenttype "content-type" "application/pdf" { discard; }',
    'if header :mime :contenttype "content-type" "application/pdf" { discard; }',
    'if header :mime :contenttype "content-type" "multipart/mixed" { discard; }',
    'if header :mime :anychild :param "filename" :contains "content-disposition" ".pdf" { discard; }',
    'if exists :mime :anychild "content-disposition" { discard; }',
    'if exists :mime "content-disposition" { discard; }',
    'if address :mime :anychild "from" "inner@z.test" { discard; }',
    'if address :mime "from" "inner@z.test" { discard; }',
    'if header :anychild "from" "x" { discard; }',
    'if header :type "content-type" "x" { discard; }',
    "break;",
    'foreverypart { break :name "x"; }',
    "foreverypart { keep; stop; }",
    'foreverypart { if header :mime :anychild :contenttype "content-type" "application/pdf" { fileinto :copy "x"; TYPES } }',
    'if header :mime :anychild :count "eq" :comparator "i;ascii-numeric" "content-type" "6" { discard; }',
]


@pytest.mark.parametrize("script", LOOPS)
def test_parts(dovecot: SieveTest, script: str) -> None:
    for name, instead in (("TYPES_ONCE", "; break; }"), ("TYPES_ALL", '; break :name "a"; }'), ("TYPES", "; }")):
        script = script.replace(name, TYPES.replace("; }", instead))
    script = HEAD.replace('"enotify"', '"foreverypart", "mime", "extracttext"') + script
    mine, theirs = ours(script, PARTS), dovecot.actions(script, PARTS)
    assert same(mine, theirs), (mine, theirs)


class Writer:
    """Scripts that are right, at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def choose(self, *each: str) -> str:
        return self.random.choice(each)

    def match(self) -> str:
        compared = self.choose("", ':comparator "i;octet" ', ':comparator "i;ascii-casemap" ')
        relation = self.choose("gt", "ge", "lt", "le", "eq", "ne")
        return self.choose(
            f"{compared}:is", f"{compared}:contains", f"{compared}:matches", f'{NUMERIC} :count "{relation}"',
            f'{NUMERIC} :value "{relation}"', ":regex",
        )  # fmt: skip

    def keys(self) -> str:
        each = (
            "",
            "a",
            "acme",
            "17",
            "2",
            "coyote",
            "e*",
            "(4|7)?",
            "[a-z]+ ",
            "e",
            "desert.example.org",
            "^.*o.*$",
            "present",
        )
        return "[" + ", ".join(f'"{self.random.choice(each)}"' for _ in range(self.random.randint(1, 3))) + "]"

    def test(self, depth: int = 0) -> str:
        kind = self.random.randint(0, 9 if depth < 3 else 6)
        match self.random.choice((kind, kind)):
            case 0 | 1:
                names = self.choose('"subject"', '["x-score", "x-empty"]', '"from"', '["to", "x-none"]', '"list-id"')
                return f"header {self.match()} {names} {self.keys()}"
            case 2 | 3:
                part = self.choose(":all", ":localpart", ":domain", ":user", ":detail", "")
                names = self.choose('"from"', '"to"', '["cc", "to"]')
                return f"address {part} {self.match()} {names} {self.keys()}"
            case 4:
                part, names = self.choose(":all", ":domain", ":detail"), self.choose('"to"', '"from"')
                return f"envelope {part} {self.match()} {names} {self.keys()}"
            case 5:
                return self.choose(
                    'exists "subject"', 'exists ["to", "x-none"]', "size :over 300", "size :under 2K", "true", "false"
                )
            case 6:
                return f'string {self.match()} ["${{1}}", "${{v}}", "17"] {self.keys()}'
            case 7:
                return f"not {self.test(depth + 1)}"
            case _:
                return f"{self.choose('anyof', 'allof')} ({self.test(depth + 1)}, {self.test(depth + 1)})"

    def command(self, depth: int = 0) -> str:
        if depth < 3 and self.random.random() < 0.5:
            text = f"if {self.test()} {{ {self.block(depth + 1)} }}"
            text += f" elsif {self.test()} {{ {self.block(depth + 1)} }}" if self.random.random() < 0.4 else ""
            return text + (f" else {{ {self.block(depth + 1)} }}" if self.random.random() < 0.4 else "")
        return self.choose(
            'set "v" "${0}";', 'set :length "v" "${1}";', 'set :upper "v" "a${2}";', 'addflag "f";', 'setflag ["g", "h"];',
            'removeflag "g";', 'fileinto :copy "<${1}>";', 'fileinto "B";', 'redirect :copy "a@x.test";', "keep;", "discard;",
            'fileinto :copy :flags "k" "<${v}>";', 'addflag "v" "17 z";', "stop;" if self.random.random() < 0.2 else "keep;",
        )  # fmt: skip

    def block(self, depth: int) -> str:
        return "\n".join(self.command(depth) for _ in range(self.random.randint(0, 3)))


def told(found: list[str]) -> list[str]:
    """Without what both say in their own way: flags of what is stored twice, blanks at the end of names, empty actions."""
    return sorted({re.sub(r" with .*| +$", "", one).lower() for one in found})


@pytest.mark.parametrize("seed", range(120))
def test_scripts_at_random(dovecot: SieveTest, seed: int) -> None:
    writer = Writer(seed)
    script = HEAD + "\n".join(writer.command() for _ in range(6))
    assert told(ours(script)) == told(dovecot.actions(script, MESSAGE)), script


FIELDS = (
    "subject", "from", "to", "cc", "date", "message-id", "content-type", "received", "reply-to", "x-mailer", "list-id",
    "sender", "dkim-signature", "references", "mime-version", "return-path",
)  # fmt: skip
BODIES = (
    ':contains "a"', ':contains "the"', ':raw :contains "the"', ':content "text" :contains "the"',
    ':content "text/html" :contains "<"',
    ':content "text/plain" :contains "e"', ':content "multipart" :contains "a"', ':content "message" :contains "subject"',
    ':content "image" :contains ""', ':content "application" :contains ""', ':content "message/rfc822" :contains "from"',
    ':content "" :contains "e"',
)  # fmt: skip


def shows(test: str, name: str) -> str:
    """A line that files into a mailbox whose name shows what the wildcard of a test matched."""
    return f'if {test} {{ set :encodeurl "v" "${{0}}"; fileinto :copy :flags "" "{name}=${{v}}"; }}\n'


def corpus_script() -> str:
    """What can be asked of fields, addresses, dates and bodies."""
    lines = []
    for name in FIELDS:
        lines.append(shows(f'header :matches "{name}" "*"', f"first {name}"))
        lines.append(shows(f'header :index 1 :last :matches "{name}" "*"', f"last {name}"))
        for count in range(1, 6):
            lines.append(f'if header :count "eq" {NUMERIC} "{name}" "{count}" {{ addflag "{name}{count}"; }}\n')
    for name in ("from", "to", "cc", "sender", "reply-to"):
        for part in ("all", "localpart", "domain", "user", "detail"):
            lines.append(shows(f'address :{part} :matches "{name}" "*"', f"{part} {name}"))
    for part in ("iso8601", "std11", "zone", "julian", "weekday"):
        for name in ("date", "received"):
            lines.append(shows(f'date :originalzone :matches "{name}" "{part}" "*"', f"{part} {name}"))
            lines.append(shows(f'date :zone "+0530" :matches "{name}" "{part}" "*"', f"east {part} {name}"))
    for number, body in enumerate(BODIES):
        lines.append(f'if body {body} {{ addflag "body{number}"; }}\n')
    return HEAD + "".join(lines)


def pieces(found: list[str]) -> set[str]:
    """Mailboxes and flags, in small letters."""
    each: set[str] = set()
    for one in found:
        each |= set(one.split()[2:]) if one.startswith("keep") else {one.lower().strip()}
    return each


def differences(mine: set[str], theirs: set[str]) -> list[str]:
    """What only one of both says. Names of mailboxes are shown there up to some length."""
    for one in [one for one in theirs if one.endswith("...")]:
        whole = next((other for other in mine if other.startswith(one[:-3])), None)
        if whole is not None:
            mine, theirs = mine - {whole}, theirs - {one}
    return sorted((mine - theirs) | (theirs - mine))


SIGNED = "james-mailet/integration-testing__src__main__resources__smime-test-resource-set__"
EXPLAINED = {
    # Addresses that are none: here read as far as they can be, there raw, and empty for a group without members.
    "james/test__resources__eml__james-3901.eml",
    "james-mailet/mailets__brokenReplyTo.eml",
    "james-mailet/mailets__noReplyTo.eml",
    "mikel-mail/error_emails__bad_date_header2.eml",
    "mikel-mail/error_emails__empty_group_lists.eml",
    "mikel-mail/error_emails__encoding_madness.eml",
    "mikel-mail/error_emails__missing_body.eml",
    "mikel-mail/mime_emails__raw_email11.eml",
    "mikel-mail/plain_emails__mix_caps_content_type.eml",
    "mikel-mail/plain_emails__raw_email_multiple_from.eml",
    "mikel-mail/rfc2822__example04.eml",
    "mikel-mail/rfc2822__example10.eml",
    # Addresses in UTF-8 are addresses (RFC 6532), there they are none.
    "mikel-mail/rfc6532__utf8_headers.eml",
    # Dates that are none: a zone "+070", blanks in the time, text behind it.
    f"{SIGNED}mail-with-signature-and-multi-certs.eml",
    f"{SIGNED}mail_with_signature_and_content_type_xpkcs7mime.eml",
    "mikel-mail/error_emails__bad_date_header.eml",
    "mikel-mail/rfc2822__example13.eml",
    "stalwart-mail-parser/malformed__019.eml",
    # A transfer encoding that is none: here the body is read as it is, there not at all.
    "mikel-mail/error_emails__content_transfer_encoding_7-bit.eml",
    "mikel-mail/error_emails__content_transfer_encoding_empty.eml",
    "mikel-mail/error_emails__content_transfer_encoding_plain.eml",
    "mikel-mail/error_emails__content_transfer_encoding_qp_with_space.eml",
    "mikel-mail/error_emails__content_transfer_encoding_spam.eml",
    "mikel-mail/error_emails__content_transfer_encoding_text-html.eml",
    "mikel-mail/error_emails__content_transfer_encoding_with_8bits.eml",
    # 8-bit octets that are no UTF-8: here Latin-1, there characters that can't be read.
    "mikel-mail/error_emails__invalid_subject_characters.eml",
    "stalwart-mail-parser/legacy__010.eml",
    "stalwart-mail-parser/legacy__017.eml",
    "stalwart-mail-parser/legacy__020.eml",
    "stalwart-mail-parser/legacy__022.eml",
    "stalwart-mail-parser/legacy__027.eml",
    "stalwart-mail-parser/legacy__052.eml",
    # A References field of 1,500 characters can't be a mailbox's name, here.
    "mox/junk__parse3.eml",
    # Parts of a digest are messages (RFC 2046 5.1.5); a message in base64 is none.
    "stalwart-mail-parser/rfc__004.eml",
    "stalwart-mail-parser/rfc__008.eml",
    "stalwart-mail-parser/thirdparty__004.eml",
    "stalwart-mail-parser/thirdparty__007.eml",
    # Structures that are none: boundaries that begin alike, twice the same, Content-Type twice, application/octet-stream.
    "james-mpt/impl__imap-mailbox__core__src__main__resources__org__apache__james__imap__samples__multipart-binary.mail",
    "mikel-mail/error_emails__multiple_content_types.eml",
    "stalwart-mail-parser/malformed__004.eml",
    "stalwart-mail-parser/malformed__005.eml",
    "stalwart-mail-parser/malformed__007.eml",
    "stalwart-mail-parser/malformed__016.eml",
    "stalwart-mail-parser/malformed__017.eml",
    "stalwart-mail-parser/malformed__020.eml",
}


def test_the_collected_mails(dovecot: SieveTest) -> None:
    script = corpus_script()
    unexplained, agreed = {}, set()
    for name, data in mails():
        found = differences(pieces(ours(script, data)), pieces(dovecot.actions(script, data)))
        if found and name not in EXPLAINED:
            unexplained[name] = found
        elif not found and name in EXPLAINED:
            agreed.add(name)
    assert not unexplained
    assert not agreed
