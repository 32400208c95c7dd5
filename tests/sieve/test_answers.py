"""What asks: mailboxes, duplicates, lists, included scripts; and answers to senders: vacation, notify."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from mailstack.message.address import parse_address
from mailstack.sieve import questions as ask
from mailstack.sieve.actions import Notify, Remember, Respond
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Question
from mailstack.sieve.script import compile
from tests.support.sieve import ENVIRONMENT, MESSAGE, actions, holds, outcome

KNOWN: Mapping[Question, object] = {
    ask.MailboxExists("INBOX"): True,
    ask.MailboxIdExists("abc"): True,
    ask.SpecialUseExists(None, "\\Junk"): True,
    ask.SpecialUseExists("Spam", "\\Junk"): True,
    ask.Annotation("INBOX", "/private/x"): "yes",
    ask.Annotation(None, "/shared/x"): "no",
    ask.OnList("friends", ("coyote@desert.example.org",)): "coyote@desert.example.org",
    ask.ListExists("friends"): True,
}
TESTS = [
    ('mailboxexists "INBOX"', True),
    ('mailboxexists ["INBOX", "x"]', False),
    ('not mailboxexists "x"', True),
    ('allof (true, mailboxexists "INBOX", not false)', True),
    ('anyof (false, mailboxexists "x")', False),
    ('mailboxidexists "abc"', True),
    ('specialuse_exists "\\\\Junk"', True),
    ('specialuse_exists "Spam" ["\\\\Junk"]', True),
    ('specialuse_exists "Spam" ["\\\\Junk", "\\\\Sent"]', False),
    ('metadata :contains "INBOX" "/private/x" "e"', True),
    ('metadata "INBOX" "/private/y" ""', False),
    ('metadataexists "INBOX" ["/private/x"]', True),
    ('servermetadata "/shared/x" "no"', True),
    ('servermetadataexists ["/shared/x", "/shared/y"]', False),
    ('address :list "from" ["others", "friends"]', True),
    ('address :list "to" "friends"', False),
    ('valid_ext_list ["friends"]', True),
    ('valid_ext_list ["friends", "others"]', False),
]
REQUIRE = "mailbox mailboxid special-use mboxmetadata servermetadata extlists"


@pytest.mark.parametrize(("test", "expected"), TESTS)
def test_what_is_asked(test: str, expected: bool) -> None:
    assert holds(test, REQUIRE, answer=KNOWN.get) is expected


def test_where_to_file() -> None:
    head = 'require ["fileinto", "mailbox", "special-use", "mailboxid"];'
    script = head + 'fileinto :create :specialuse "\\\\Junk" :mailboxid "a" "Spam";'
    (action,) = outcome(script).actions
    assert (action.create, action.use, action.id, action.mailbox) == (True, "\\Junk", "a", "Spam")  # type: ignore[union-attr]


def test_redirect_to_a_list() -> None:
    script = 'require ["extlists", "copy"]; redirect :copy :list "friends";'
    assert actions(script, answer=lambda question: ("a@x.test", "b@x.test")) == ["send a@x.test", "send b@x.test", "keep"]
    assert "no list" in actions(script)[0]
    assert "redirects" in actions(script, answer=lambda question: tuple(f"a{n}@x.test" for n in range(9)))[0]


def test_questions_have_a_limit() -> None:
    script = 'require "mailbox";' + 'if mailboxexists "a" {}\n' * 300
    assert "256 questions" in actions(script)[0]


DUPLICATE = 'require ["duplicate", "variables"];\n'


def test_duplicates() -> None:
    script = DUPLICATE + "if duplicate { discard; }"
    found = outcome(script)
    assert found.remember == (Remember("", "<1@desert.example.org>", 7 * 86400),)
    assert actions(script, answer=lambda question: question == ask.SeenBefore("", "<1@desert.example.org>", 7 * 86400)) == [
        "discard"
    ]
    assert outcome(script, answer=lambda question: True).remember == ()
    assert outcome(script, message=b"A: b\r\n\r\n").remember == ()
    other = DUPLICATE + 'if duplicate :handle "h" :seconds 60 :last :header "x-score" {}'
    assert outcome(other, answer=lambda question: True).remember == (Remember("h", "17", 60),)
    third = DUPLICATE + 'if header :matches "subject" "*" { if duplicate :uniqueid "${0}" {} }'
    assert outcome(third).remember[0].id.startswith("[acme]")
    failing = DUPLICATE + 'if duplicate {} set "a" ""; redirect "${a}";'
    assert outcome(failing).remember == ()


def included(**sources: str) -> Callable[[Question], object]:
    """Answers that know these scripts."""

    def answer(question: Question) -> object:
        assert isinstance(question, ask.ScriptNamed)
        name = ("global_" if question.everybody else "") + question.name
        return compile(sources[name]) if name in sources else None

    return answer


HEAD = 'require ["include", "variables", "fileinto"];\n'
INCLUDED = [
    ('include "a"; keep;', {"a": HEAD + "return; discard;"}, ["keep"]),
    ('include "a"; keep;', {"a": "stop;"}, ["keep"]),
    ('include "a"; discard;', {"a": "stop;"}, ["keep"]),
    ('include :global "a";', {"global_a": "discard;"}, ["discard"]),
    ('include :optional "a"; discard;', {}, ["discard"]),
    ('include "a";', {}, ["line 2: there is no script 'a' to include", "keep"]),
    ('include "a";', {"a": HEAD + 'include "a";'}, ["line 2: the script 'a' includes itself", "keep"]),
    ('include :once "a"; include :once "a"; include "a";', {"a": 'redirect "a@x.test";'}, ["send a@x.test"]),
    ('set "v" "x"; include "a";', {"a": HEAD + 'fileinto "<${v}>";'}, ["file <>"]),
    ('global "v"; set "v" "x"; include "a";', {"a": HEAD + 'global "v"; fileinto "<${v}>";'}, ["file <x>"]),
    ('set "global.v" "x"; include "a";', {"a": HEAD + 'fileinto "<${global.v}>";'}, ["file <x>"]),
    ('include "a"; fileinto "${global.v}";', {"a": HEAD + 'global ["V"]; set "v" "y";'}, ["file y"]),
    ('if true { include "a"; } discard;', {"a": HEAD + "if true { return; } stop;"}, ["discard"]),
]


@pytest.mark.parametrize(("script", "scripts", "expected"), INCLUDED)
def test_includes(script: str, scripts: dict[str, str], expected: list[str]) -> None:
    assert actions(HEAD + script, answer=included(**scripts)) == expected


def test_a_broken_included_script_keeps_the_message() -> None:
    found = outcome(HEAD + 'include "a";', answer=included(a="\n\nfoo;"))
    assert found.problem is not None
    assert found.problem.line == 3
    found = outcome(HEAD + 'include "a";', answer=included(a='require "ihave";\n error "x";'))
    assert found.problem is not None
    assert (found.problem.line, found.problem.script) == (2, "a")


def test_includes_have_limits() -> None:
    chain = {f"s{n}": HEAD + f'include "s{n + 1}";' for n in range(20)} | {"s20": "keep;"}
    assert "too many" in actions(chain["s0"], answer=included(**chain))[0]
    assert "too many" in actions(HEAD + 'include "a";' * 40, answer=included(a="keep;"))[0]


@pytest.mark.parametrize(
    "script", ['include "";', 'include "a/b";', 'include "${a}";', 'global "a b";', 'include :global :personal "a";']
)
def test_what_is_no_include(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(HEAD + script)


VACATION = 'require ["vacation", "vacation-seconds", "variables"];\n'
TO_ME = MESSAGE.replace(b"List-Id: Acme <acme.example.com>\r\n", b"")


def respond(script: str = 'vacation "gone";', message: bytes = TO_ME, **changes: object) -> Respond:
    found = outcome(VACATION + script, message, replace(ENVIRONMENT, **changes))  # type: ignore[arg-type]
    assert found.problem is None
    action = found.actions[0]
    assert isinstance(action, Respond)
    return action


def test_a_vacation_answer() -> None:
    one = respond()
    assert one.to == "coyote@desert.example.org"
    assert one.sender == "roadrunner+birds@acme.example.com"
    assert one.subject == "Auto: [acme] I have a present für you"
    assert (one.text, one.is_mime, one.author) == ("gone", False, "")
    assert one.seconds == 7 * 86400
    assert one.in_reply_to == "<1@desert.example.org>"
    assert one.references == "<1@desert.example.org>"
    assert one.handle == respond("\nvacation\n:days 3 'gone';".replace("'", '"')).handle
    assert one.handle != respond('vacation "gone again";').handle


def test_what_a_vacation_says() -> None:
    one = respond(
        'vacation :days 400 :subject "S" :from "Me <me@x.test>" :handle "h" :addresses "jorg@acme.example.com" '
        ':mime "A: b\r\n\r\nc";',
        recipient=parse_address("other@acme.example.com"),
        addresses=frozenset({"me@x.test"}),
    )
    assert (one.sender, one.author, one.subject, one.handle, one.is_mime) == ("me@x.test", "Me <me@x.test>", "S", "h", True)
    assert one.seconds == 365 * 86400
    assert respond('vacation :seconds 5 "x";').seconds == 86400
    assert respond(message=b"Auto-Submitted: no (a person)\r\n" + TO_ME).to == "coyote@desert.example.org"
    reply = TO_ME.replace(b"Message-ID", b"References: <a@x> <b@x>\r\nMessage-ID")
    assert respond(message=reply).references == "<a@x> <b@x> <1@desert.example.org>"


def test_a_script_writes_in_nobody_elses_name() -> None:
    one = respond('vacation :from "The \\"Boss\\" <boss@acme.example.com>" "x";')
    assert (one.sender, one.author) == ("roadrunner+birds@acme.example.com", '"The Boss" <roadrunner+birds@acme.example.com>')
    found = outcome(NOTIFY + 'notify :from "boss@acme.example.com" "mailto:a@x.test";').actions[0]
    assert isinstance(found, Notify)
    assert found.author == "roadrunner+birds@acme.example.com"
    own = outcome(NOTIFY + 'notify :from "R <roadrunner@acme.example.com>" "mailto:a@x.test";').actions[0]
    assert isinstance(own, Notify)
    assert own.author == "R <roadrunner@acme.example.com>"


SILENT: list[tuple[bytes, dict[str, object], str]] = [
    (MESSAGE, {}, "mailing list"),
    (b"Auto-Submitted: auto-replied\r\n" + TO_ME, {}, "program"),
    (b"Precedence: bulk\r\n" + TO_ME, {}, "bulk"),
    (TO_ME, {"sender": None}, "empty"),
    (TO_ME, {"sender": parse_address("MAILER-DAEMON@x.test")}, "program"),
    (TO_ME, {"sender": parse_address("owner-x@x.test")}, "program"),
    (TO_ME, {"sender": parse_address("x-request@x.test")}, "program"),
    (TO_ME, {"sender": parse_address("roadrunner@acme.example.com")}, "the user"),
    (TO_ME, {"recipient": parse_address("all@acme.example.com"), "addresses": frozenset()}, "no address"),
]


@pytest.mark.parametrize(("message", "changes", "reason"), SILENT)
def test_who_gets_no_answer(message: bytes, changes: dict[str, object], reason: str) -> None:
    around = replace(ENVIRONMENT, **changes)  # type: ignore[arg-type]
    found = outcome(VACATION + 'vacation "gone";', message, around, trace=True)
    assert [type(action).__name__ for action in found.actions] == ["Keep"]
    assert reason in found.trace[0].text


def test_one_answer_in_a_while() -> None:
    asked: list[Question] = []

    def answer(question: Question) -> bool:
        asked.append(question)
        return True

    assert actions(VACATION + 'vacation :handle "h" "x";', message=TO_ME, answer=answer) == ["keep"]
    assert asked == [ask.AnsweredRecently("h", "coyote@desert.example.org", 7 * 86400)]


@pytest.mark.parametrize(
    "script", ['vacation :from "x" "y";', 'vacation :mime "y";', 'vacation :days 1 :seconds 2 "y";', "vacation;"]
)
def test_what_is_no_vacation(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(VACATION + script)


def test_two_vacations_are_an_error() -> None:
    assert "second time" in actions(VACATION + 'vacation "a";\nvacation "b";')[0]


NOTIFY = 'require ["enotify", "variables"];\n'


def test_a_notice() -> None:
    script = 'notify :message "New: ${x}" :importance "1" "mailto:a@x.test?cc=b@x.test&subject=no&x-a=%20b&from=c@x.test";'
    action = outcome(NOTIFY + 'set "x" "mail";' + script).actions[0]
    assert isinstance(action, Notify)
    assert (action.to, action.cc, action.subject, action.importance) == (("a@x.test",), ("b@x.test",), "New: mail", 1)
    assert action.fields == (("x-a", "b"),)
    plain = outcome(NOTIFY + 'notify "mailto:a@x.test?body=hi%0D%0Athere";').actions[0]
    assert isinstance(plain, Notify)
    assert (plain.text, plain.importance) == ("hi\r\nthere", 2)
    assert plain.subject == "Notification: [acme] I have a present für you"


def test_notices_make_no_loops() -> None:
    assert actions(NOTIFY + 'notify "mailto:a@x.test";', message=b"Auto-Submitted: auto-notified\r\n\r\n") == ["keep"]


@pytest.mark.parametrize(
    "script",
    [
        'notify "xmpp:a@x.test";',
        'notify "mailto:";',
        'notify "mailto:a";',
        'notify "mailto:a@x.test?b";',
        'notify :importance "4" "mailto:a@x.test";',
        'notify :from "x" "mailto:a@x.test";',
        'notify "mailto:' + ",".join(f"a{n}@x.test" for n in range(9)) + '";',
    ],
)
def test_what_is_no_notice(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(NOTIFY + script)


def test_what_is_known_of_notices() -> None:
    assert holds('valid_notify_method ["mailto:a@x.test"]', "enotify")
    assert not holds('valid_notify_method ["mailto:a@x.test", "xmpp:b"]', "enotify")
    assert holds('notify_method_capability "mailto:a@x.test" "Online" "maybe"', "enotify")
    assert not holds('notify_method_capability "mailto:a@x.test" "online" "yes"', "enotify")
