"""SMTP's words both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.address import Address
from mailstack.message.envelope import Body, Notify, Return
from mailstack.message.errors import SyntaxProblem
from mailstack.wire.smtp import (
    MailParameters,
    RcptParameters,
    Reply,
    ReplyParser,
    decode_xtext,
    encode_xtext,
    parse_ehlo,
    parse_mail_from,
    parse_rcpt_to,
)


def test_mail() -> None:
    assert parse_mail_from("<>") == (None, MailParameters())
    assert parse_mail_from("<a@b.test> SIZE=9 BODY=7bit RET=FULL ENVID=x+2By") == (
        Address("a", "b.test"),
        MailParameters(9, Body.SEVENBIT, False, Return.FULL, "x+y"),
    )


def test_rcpt() -> None:
    assert parse_rcpt_to("<a@b.test> NOTIFY=success,FAILURE ORCPT=rfc822;c@d.test", smtputf8=False) == (
        Address("a", "b.test"),
        RcptParameters(Notify.SUCCESS | Notify.FAILURE, "rfc822;c@d.test"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "a@b.test",
        "<a@b.test",
        "<a b@c.test>",
        "<a@b.test> SIZE=x",
        "<a@b.test> SIZE=1 SIZE=2",
        "<a@b.test>x",
        "<\u00e9@b.test>",
    ],
)
def test_bad_mail(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_mail_from(text)


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=30))
def test_xtext_both_ways(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text


@given(st.text(max_size=60))
def test_anything_is_a_value_or_a_problem(text: str) -> None:
    for parse in (parse_mail_from, lambda one: parse_rcpt_to(one, smtputf8=True)):
        try:
            parse(text)
        except SyntaxProblem:
            pass


def test_replies() -> None:
    parser = ReplyParser()
    assert parser.line(b"250-mail.b.test\r\n") is None
    assert parser.line(b"250-SIZE 1000\r\n") is None
    reply = parser.line(b"250 AUTH=PLAIN\r\n")
    assert reply is not None
    assert parse_ehlo(reply) == {"SIZE": "1000", "AUTH": ""}
    assert parser.line(b"550 5.1.1 nobody\r\n") == Reply(550, "5.1.1", "nobody")
    assert parser.line(b"354\r\n") == Reply(354, None, "")
    for bad in (b"hello\r\n", b"99 x\r\n", b"\r\n"):
        with pytest.raises(SyntaxProblem):
            ReplyParser().line(bad)
