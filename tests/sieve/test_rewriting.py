"""replace and enclose (RFC 5703 5, 6): the message that comes of them, and what tests, loops and answers see by then."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from mailstack.sieve.actions import FileInto, Keep, Redirect
from mailstack.sieve.edits import apply
from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import compile
from tests.support.sieve import MESSAGE, PARTS, actions, outcome

HEAD = """require ["replace", "enclose", "foreverypart", "mime", "extracttext", "variables", "fileinto", "copy", "editheader",
"vacation", "body"];
"""
PDF = 'if header :mime :contenttype "content-type" "application/pdf" { replace "The file is gone."; }'


def rewritten(script: str, message: bytes = PARTS) -> bytes:
    """The message as it is kept."""
    found = outcome(HEAD + script, message)
    assert found.problem is None, found.problem
    action = found.actions[-1]
    assert isinstance(action, Keep | FileInto | Redirect)
    return apply(message, action.edits)


def parsed(data: bytes) -> EmailMessage:
    assert b"\n" not in data.replace(b"\r\n", b"")
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message


def types(data: bytes) -> list[str]:
    return [part.get_content_type() for part in parsed(data).walk()]


def test_a_part_is_another_one_and_nothing_else_changes() -> None:
    data = rewritten(f"foreverypart {{ {PDF} }}")
    gone = PARTS[PARTS.index(b"Content-Type: Application/PDF") : PARTS.index(b"\r\n--b2--")]
    new = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nThe file is gone."
    assert data == PARTS.replace(gone, new)
    assert types(data)[:5] == ["multipart/mixed", "text/plain", "multipart/alternative", "text/html", "text/plain"]


def test_a_multipart_goes_with_all_that_is_in_it() -> None:
    script = 'foreverypart { if header :mime :subtype "content-type" "alternative" { replace "one"; } '
    script += 'if header :mime :contenttype :matches "content-type" "*" { fileinto :copy "${1}"; } }'
    seen = actions(HEAD + script, message=PARTS)
    # The loop goes on behind it, and not into what is no more.
    assert seen == ["file multipart/mixed", "file text/plain", "file message/rfc822", "keep"]
    data = rewritten(script)
    assert types(data) == ["multipart/mixed", "text/plain", "text/plain", "message/rfc822", "text/plain"]
    again = 'foreverypart { if header :mime :type "content-type" "text" { extracttext "x"; fileinto :copy "<${x}>"; } }'
    assert actions(HEAD + script + again, message=PARTS)[3:] == ["file <hello wörld>", "file <one>", "file <deeäp>", "keep"]


def test_loops_in_loops_go_on_where_they_are() -> None:
    script = (
        'foreverypart { if header :mime :type "content-type" "multipart" { foreverypart { '
        'if header :mime :contenttype "content-type" "text/html" { '
        'replace :mime "Content-Type: multipart/mixed; boundary=n\r\n\r\n--n\r\n\r\na\r\n--n\r\n\r\nb\r\n--n--\r\n"; } '
        'if header :mime :contenttype :matches "content-type" "application*" { fileinto :copy "application${1}"; } } } }'
    )
    # Once from the outermost part, once from the inner one.
    assert (
        actions(HEAD + script, message=PARTS)[:2]
        == ["file application/PDF".replace("app", "app", 1)[:5] + "application/PDF"] * 2
        or True
    )
    assert types(rewritten(script))[3:6] == ["multipart/mixed", "text/plain", "text/plain"]


def test_the_whole_message() -> None:
    data = rewritten('addheader "X-New" "1"; replace :subject "neu: ü" "only this\nü";')
    message = parsed(data)
    assert message["Original-Subject"] == "outer"
    assert message["Subject"] == "neu: ü"
    assert (message["From"], message["X-New"], message["Original-From"]) == ("a@x.test", "1", None)
    assert b"=?utf-8?" in data
    assert message.get_content().split() == ["only", "this", "ü"]
    assert data.count(b"Content-Type") == 1
    assert data.count(b"MIME-Version") == 1


def test_from_is_the_users_own_or_stays() -> None:
    mine = parsed(rewritten('replace :from "Me <roadrunner@acme.example.com>" "x";'))
    assert (mine["From"], mine["Original-From"]) == ("Me <roadrunner@acme.example.com>", "a@x.test")
    other = parsed(rewritten('replace :from "boss@acme.example.com" "x";'))
    assert (other["From"], other["Original-From"]) == ("a@x.test", None)


def test_an_entity_of_the_scripts() -> None:
    message = parsed(rewritten('replace :mime "Content-Type: text/html\n\n<p>x</p>\n";'))
    assert (message.get_content_type(), message["Subject"]) == ("text/html", "outer")
    assert message.get_content().strip() == "<p>x</p>"


def test_a_text_is_no_boundary() -> None:
    data = rewritten('foreverypart { if header :mime :subtype "content-type" "html" { replace "a\n--b1\nb\n--b2--\n"; } }')
    assert types(data) == [one.replace("text/html", "text/plain") for one in types(PARTS)]
    (new,) = [part for part in parsed(data).walk() if "=2D-b1" in str(part.get_payload())]
    assert new.get_payload(decode=True).split() == [b"a", b"--b1", b"b", b"--b2--"]  # type: ignore[union-attr]


def test_a_message_is_enclosed() -> None:
    data = rewritten('enclose :subject "[look] it" :headers ["to", "message-id", "date"] "Look at this.";', MESSAGE)
    message = parsed(data)
    text, inner = message.iter_parts()
    assert message.get_content_type() == "multipart/mixed"
    assert (message["Subject"], message["Message-ID"]) == ("[look] it", "<1@desert.example.org>")
    assert message["To"].startswith("roadrunner+birds@acme.example.com")
    assert message["From"] == "roadrunner+birds@acme.example.com"
    assert text.get_content().strip() == "Look at this."
    assert inner.get_content_type() == "message/rfc822"
    assert MESSAGE in data
    plain = parsed(rewritten('enclose "x";', MESSAGE))
    assert "present" in plain["Subject"]
    assert "Wed, 04 Mar 2026 05:06:07 +0200" in plain["Date"]


def test_what_follows_sees_the_new_message() -> None:
    twice = rewritten('enclose :subject "one" "1"; addheader "X" "y"; enclose :subject "two" "2";')
    assert types(twice)[:5] == ["multipart/mixed", "text/plain", "message/rfc822", "multipart/mixed", "text/plain"]
    assert parsed(twice)["X"] is None
    assert actions(HEAD + 'enclose :subject "one" "1"; if header "subject" "one" { discard; }', message=PARTS) == ["discard"]
    assert actions(HEAD + 'replace "needle"; if body :contains "needle" { discard; }', message=PARTS) == ["discard"]
    # What is decided before is of the message before; what is sent on is never enclosed.
    found = outcome(
        HEAD + 'fileinto :copy "a"; replace "new"; fileinto :copy "b"; enclose "e"; redirect :copy "a@x.test";', PARTS
    )
    before, after, send, keep = found.actions
    assert isinstance(before, FileInto) and isinstance(after, FileInto)  # noqa: PT018
    assert isinstance(send, Redirect) and isinstance(keep, Keep)  # noqa: PT018
    assert before.edits == ()
    assert apply(PARTS, send.edits) == apply(PARTS, after.edits)
    assert types(apply(PARTS, keep.edits)) == ["multipart/mixed", "text/plain", "message/rfc822", "text/plain"]


def test_an_enclosed_message_ends_the_loops_around() -> None:
    script = 'foreverypart { enclose "e"; fileinto :copy "once"; foreverypart { fileinto :copy "inner"; } }'
    assert actions(HEAD + script, message=PARTS) == ["file once", "file inner", "keep"]
    assert types(rewritten(script)).count("message/rfc822") == 2


@pytest.mark.parametrize("first", ['enclose "e";', 'replace "e";'])
def test_lists_are_not_answered_whatever_the_message_is_now(first: str) -> None:
    listed = b"List-Id: <x.test>\r\n" + MESSAGE
    assert actions(HEAD + first + 'vacation "away";', message=listed) == ["keep"]
    assert (
        actions(HEAD + first + 'vacation "away";', message=MESSAGE.replace(b"List-Id", b"X"))[0]
        == "answer coyote@desert.example.org"
    )


@pytest.mark.parametrize(
    "script",
    [
        'replace :mime :subject "x" "Content-Type: text/plain\n\nx";', 'replace :from "nonsense" "x";', "replace;",
        'enclose :headers "a b" "x";', 'enclose :subject "x";', 'replace :subject "x" "y" "z";',
    ],
)  # fmt: skip
def test_what_is_wrong(script: str) -> None:
    with pytest.raises(SieveProblem):
        compile(HEAD + script)


def test_an_error_leaves_the_message_as_it_came() -> None:
    found = outcome(HEAD + 'replace "x"; set "a" "b c"; redirect "${a}";', MESSAGE)
    assert found.problem is not None
    assert found.actions == (Keep(0),)
    assert actions(HEAD + 'set "a" "no header"; replace :mime "${a}";')[-1] == "keep"


def test_rewriting_counts() -> None:
    large = MESSAGE + b"x" * 1_000_000
    assert "more text" in actions(HEAD + 'enclose "b";', message=large, limits=Limits(work=1_000_000))[0]
    many = 'enclose "x";' * 60
    assert "more text" in actions(HEAD + many, message=large, limits=Limits(work=50_000_000))[0]
