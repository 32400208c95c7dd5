"""In one's own name: envelope, From and Sender."""

import random

import pytest

from mailstack.message.address import parse_address
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.verdict import Accept
from mailstack.store.content import Content
from tests.policy.conftest import World

OWN = [
    "alice@a.test",
    "ALICE@A.TEST",
    "alice+tag@a.test",
    "sales@a.test",
    "sales+tag@a.test",
    "tagged@a.test",
    "chain@a.test",
    '"alice"@a.test',
]
OTHERS = [
    "bob@a.test",
    "both@a.test",
    "mixed@a.test",
    "out@a.test",
    "ring@a.test",
    "nobody@a.test",
    "alice@c.test",
    "alice@far.test",
    "+alice@a.test",
    "bob+alice@a.test",
    "alice%a.test@far.test",
    "postmaster@a.test",
    "abuse@a.test",
    "x@c.test",
]


@pytest.mark.parametrize("sender", OWN)
def test_own_addresses(world: World, sender: str) -> None:
    transaction = world.transaction("alice@a.test", sender)
    assert isinstance(world.run(world.submission.sender(transaction)), Accept)
    assert isinstance(world.submit(f"From: {sender}"), Accept)
    assert isinstance(world.submit(f"From: alice@a.test\r\nSender: {sender}"), Accept)


@pytest.mark.parametrize("sender", OTHERS)
def test_addresses_of_others(world: World, sender: str) -> None:
    transaction = world.transaction("alice@a.test", sender)
    verdict = world.run(world.submission.sender(transaction))
    assert not isinstance(verdict, Accept)
    assert (verdict.reply.code, verdict.reply.enhanced) == (550, "5.7.1")
    assert not isinstance(world.submit(f"From: {sender}"), Accept)
    assert not isinstance(world.submit(f"From: alice@a.test\r\nSender: {sender}"), Accept)


def test_everybody_elsewhere_who_gets_it_is_counted(world: World) -> None:
    """An alias or a list is no way around what an account may send."""
    transaction = world.transaction("alice@a.test", "alice@a.test")
    data = world.data
    policy = SubmissionPolicy(
        world.recipients, data.directory, "mail.a.test", world.clock, random.Random(1), sending=data.sending
    )

    async def ask() -> None:
        await policy.sender(transaction)
        for address in ("mixed@a.test", "x@far.test", "bob@a.test"):
            await policy.recipient(transaction, parse_address(address))

    world.run(ask())
    assert transaction.outside == {"mixed@a.test": 1, "x@far.test": 1, "bob@a.test": 0}


def test_the_null_sender_is_for_notices(world: World) -> None:
    assert isinstance(world.run(world.submission.sender(world.transaction("alice@a.test", None))), Accept)


@pytest.mark.parametrize(
    "header",
    [
        "From: Alice <alice@a.test>",
        'From: "Smith, Alice" <alice@a.test>',
        "From: alice@a.test, Sales <sales@a.test>",
        "From: =?utf-8?q?Al=C3=A9?= <alice@a.test>",
        "From: =?utf-8?q?bob=40a=2Etest?= <alice@a.test>",
        "From: alice@a.test (bob@a.test)",
        "From: Alice\r\n <alice@a.test>",
        "From : alice@a.test",
        "FROM:alice@a.test",
        "From: Team: alice@a.test, sales@a.test;",
        "From: <@relay.test:alice@a.test>",
    ],
)
def test_forms_of_ones_own(world: World, header: str) -> None:
    assert isinstance(world.submit(header), Accept)


@pytest.mark.parametrize(
    "header",
    [
        "Subject: none",
        "From:",
        "From: undisclosed:;",
        "From: Alice",
        "From: <>",
        "From: alice@a.test <bob@a.test>",
        "From: <bob@a.test> alice@a.test",
        "From: bob@a.test (alice@a.test)",
        "From: alice@a.test, bob@a.test",
        "From: alice@a.test\r\nFrom: bob@a.test",
        "From: alice@a.test\r\nfrom : bob@a.test",
        "From: alice@a.test\r\nSender: bob@a.test",
        "From: alice@a.test\r\nSender: alice@a.test\r\nSender: bob@a.test",
        "From: Team: alice@a.test, bob@a.test;",
        "From: Team:;, bob@a.test",
        "From: alice@a.test,\r\n\tbob@a.test",
        "From: alice@a.test;bob@a.test",
        "From: alice@a.test bob@a.test",
        "From: bob@a.test\r\n , alice@a.test",
        'From: "alice@a.test" <bob@a.test>',
        'From: "bob@a.test,alice"@a.test',
        "From: bob(\\)@a.test (x)@a.test",
        "From: b(x)ob@a.test",
        "From: bob @ a.test",
        "From: bob@a.test.",
        "From: alice@a.test@far.test",
        "From: =?utf-8?q?alice=40a=2Etest?=",
        "From: <alice@=?utf-8?q?a.test?=>",
        "From: <alice@a.test>, =?utf-8?q?x?= <bob@a.test>",
        "From: alice@a.test\r\n\r\n".replace("\r\n\r\n", "\r\nSender: <bob@a.test>, alice@a.test"),
        "From: al\u0131ce@a.test",
        "From: alice@\u0430.test",
        "From: alice\uff20far.test@a.test",
        "From: <@a.test,@b.test:bob@a.test>",
        "From: <bob@a.test> <alice@a.test>",
        "From: Bob <bob@a.test> Alice <alice@a.test>",
        "From: <bob@a.test>\r\n\t<alice@a.test>",
        "From: alice@a.test\r\nSender: <bob@a.test><alice@a.test>",
        "From: (bob@a.test)\r\nFrom: alice@a.test",
        "From: " + ",\r\n ".join(["alice@a.test"] * 2000),
    ],
)
def test_forms_that_hide_another(world: World, header: str) -> None:
    verdict = world.submit(header)
    assert not isinstance(verdict, Accept)
    assert verdict.reply.code in (550, 554)


def test_a_header_that_cannot_be_seen_whole(world: World) -> None:
    header = b"From: alice@a.test\r\n" + b"X: y\r\n" * 200_000 + b"From: bob@a.test"
    verdict = world.submit(header)
    assert not isinstance(verdict, Accept)
    assert verdict.reply.code == 552


def test_what_is_missing_is_added(world: World) -> None:
    verdict = world.submit("From: alice@a.test")
    assert isinstance(verdict, Accept)
    assert verdict.prefix.count(b"Date: ") == 1
    assert verdict.prefix.count(b"Message-ID: <") == 1
    assert verdict.prefix.endswith(b"@mail.a.test>\r\n")
    verdict = world.submit("From: alice@a.test\r\nDate: x\r\nMessage-Id: <y@z>")
    assert verdict == Accept()


def test_what_would_tell_of_hidden_recipients_is_left_out(world: World) -> None:
    verdict = world.submit(
        "From: alice@a.test\r\nBCC: x@far.test\r\nresent-bcc: y\r\nReturn-Path: <z>\r\nDate: x\r\nMessage-ID: <y>"
    )
    assert isinstance(verdict, Accept)
    assert verdict.without == {b"bcc", b"resent-bcc", b"return-path"}


def test_what_only_a_judge_writes_is_left_out(world: World) -> None:
    """delivery/local.py believes the evidence in a message that waits in the queue."""
    verdict = world.submit(
        "From: alice@a.test\r\nX-SPAM-Status: No, score=-50.0\r\nX-Spam-Flag : NO\r\nDate: x\r\nMessage-ID: <y>"
    )
    assert isinstance(verdict, Accept)
    assert verdict.without == {b"x-spam-status", b"x-spam-flag"}


def test_a_login_may_send_anywhere(world: World) -> None:
    transaction = world.transaction("alice@a.test")
    for address in ("x@far.test", "bob@a.test", "x@[192.0.2.1]"):
        verdict, routes = world.run(world.submission.recipient(transaction, parse_address(address)))
        assert isinstance(verdict, Accept)
        assert routes
    assert isinstance(world.run(world.inbound.body(transaction, Content.of(b"no header"))), Accept)
