"""SMTP's words both ways."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery.client import SmtpClient
from mailstack.message.address import Address
from mailstack.message.envelope import Body, Envelope, Notify, Recipient, Return
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


# Both ways, and anything at all -----------------------------------------------------------------------------------------

LONG = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000"))
ADDRESSES = st.sampled_from(
    [Address("a", "b.test"), Address("odd name", "b.test"), Address('"\\', "b.test"), Address("b\u00f6b", "xn--bcher-kva.test"),
     Address("a>b", "b.test"), Address("a@b", "[192.0.2.1]")]
)  # fmt: skip
NOTIFY = st.sampled_from([None, Notify.NEVER, Notify.SUCCESS, Notify.FAILURE | Notify.DELAY])
OCTETS = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=20)


def check_mail(given_: tuple[Address | None, Return | None, str, int, bool]) -> None:
    """What our client says is what our server hears."""
    sender, ret, envelope_id, size, utf8 = given_
    client = SmtpClient("mx.test", "x")
    client.extensions = {"SIZE": "", "8BITMIME": "", "DSN": "", "SMTPUTF8": ""}
    utf8 = utf8 or bool(sender and sender.needs_smtputf8)
    envelope = Envelope("1", sender, (), 0.0, ret, envelope_id or None)
    line = client._mail(envelope, size, True, utf8)
    heard, parameters = parse_mail_from(line.removeprefix("MAIL FROM:"))
    assert heard == sender
    assert parameters == MailParameters(size, Body.EIGHTBIT, utf8, ret, envelope_id or None)


def check_rcpt(given_: tuple[Address, Notify | None, str]) -> None:
    address, notify, original = given_
    client = SmtpClient("mx.test", "x")
    client.extensions = {"DSN": ""}
    line = client._rcpt(Recipient(address, notify, f"rfc822;{original}" if original else None))
    heard, parameters = parse_rcpt_to(line.removeprefix("RCPT TO:"), smtputf8=True)
    assert heard == address
    assert parameters.notify == notify
    if original:
        assert parameters.original == f"rfc822;{original}"


def check_words(text: str) -> None:
    for parse in (parse_mail_from, lambda one: parse_rcpt_to(one, smtputf8=True), decode_xtext):
        try:
            parse(text)
        except SyntaxProblem:
            pass


def check_replies(lines: list[bytes]) -> None:
    parser = ReplyParser()
    for line in lines:
        try:
            reply = parser.line(line)
        except SyntaxProblem:
            return
        if reply is not None:
            assert 200 <= reply.code < 600
            found = parse_ehlo(reply)
            assert all(key == key.upper() for key in found)
            again = ReplyParser().line(reply.render())
            if "\n" not in reply.text and "\r" not in reply.text:
                assert again is not None
                assert (again.code, again.enhanced) == (reply.code, reply.enhanced)


WORDS = st.lists(
    st.sampled_from(
        [
            *(
                "<a@b.test>",
                "<>",
                " ",
                "SIZE=",
                "9",
                "BODY=8BITMIME",
                "NOTIFY=NEVER",
                ",",
                "SUCCESS",
                "ORCPT=",
                "rfc822;",
                "+2B",
            ),
            *("+", "=", "RET=FULL", "ENVID=", "SMTPUTF8", "<postmaster>", "\u00e9", '"', "\\", "\0", "AUTH=<>", "X=y"),
        ]
    ),
    max_size=10,
).map("".join)
LINES = st.lists(
    st.sampled_from(
        [
            *(b"250-a\r\n", b"250 b\r\n", b"250\r\n", b"250-\r\n", b"550 5.1.1 x\r\n", b"550-5.1.1 y\r\n", b"2500\r\n"),
            *(b"\xff\r\n", b"250 AUTH=PLAIN LOGIN\r\n", b"421 \xff\r\n", b"250 2.0.0\r\n", b"250 a\rb\r\n"),
        ]
    )
    | st.binary(max_size=10),
    max_size=8,
)
CHECKS = [
    (
        check_mail,
        st.tuples(ADDRESSES | st.none(), st.sampled_from([None, *Return]), OCTETS, st.integers(0, 10**12), st.booleans()),
    ),
    (check_rcpt, st.tuples(ADDRESSES, NOTIFY, OCTETS)),
    (check_words, WORDS | st.text(max_size=40)),
    (check_replies, LINES),
]


@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_both_ways_and_anything(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=150, deadline=None)(given(strategy)(check))()


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_both_ways_and_anything_long(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=LONG, deadline=None)(given(strategy)(check))()


def test_a_reply_without_end_is_none() -> None:
    parser = ReplyParser()
    with pytest.raises(SyntaxProblem):
        for _ in range(1000):
            parser.line(b"250-more\r\n")


def test_only_2xx_is_done() -> None:
    assert [Reply(code, None, "").positive for code in (211, 250, 334, 354, 421, 550)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["no\nsuch\r\nuser", "a\r250 2.0.0 Ok", "a\0b\tc"])
def test_a_reply_says_nothing_that_another_reply_could_be(text: str) -> None:
    rendered = Reply(550, "5.1.1", text).render()
    lines = rendered.decode().removesuffix("\r\n").split("\r\n")
    assert all(line.startswith(("550-5.1.1 ", "550 5.1.1 ")) and line.isprintable() for line in lines)
    parser = ReplyParser()
    *more, last = [parser.line(line.encode()) for line in lines]
    assert more == [None] * len(more)
    assert last is not None
    assert last.code == 550
