"""The form in which a message leaves: as the host can take it, signed last, with what was asked of its notices."""

import asyncio
import dataclasses
import email
import email.policy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.delivery.signing import load_keys, make_keys
from mailstack.mailauth.dkim import dns_record
from mailstack.message.envelope import Notify, Return
from tests.support.dnsserver import DnsServer
from tests.support.peer import EXTENSIONS, Peer, Script, until
from tests.support.relay import TEXT, Relay, asked
from tests.support.signatures import verified

EIGHT = (
    "From: Al <alice@a.test>\r\nTo: bob@b.test\r\nSubject: plain\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\ncaf\u00e9 = 3\r\n.dot\r\n"
).encode()


def without(*names: str) -> Script:
    return Script(extensions=tuple(one for one in EXTENSIONS if one.partition(" ")[0] not in names))


@pytest.fixture
async def signing(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        make_keys(relay.data.path / "dkim", "a.test", "2026")
        yield relay


def judged(relay: Relay, data: bytes) -> list[bool]:
    keys = load_keys(relay.data.path / "dkim", "a.test")
    return verified(data, {f"{key.selector}._domainkey.{key.domain}": dns_record(key) for key in keys})


@pytest.mark.parametrize(
    "text", [TEXT, EIGHT, b"From: alice@a.test\r\n\r\n", EIGHT + (b"x" * 500 + b"\r\n") * 5000], ids=range(4)
)
async def test_signatures_hold(signing: Relay, peer: Peer, text: bytes) -> None:
    assert await signing.settled(await signing.send("bob@b.test", text=text)) is None
    data = peer.messages[0].data
    assert data.endswith(text)
    assert judged(signing, data) == [True, True]
    assert peer.messages[0].mail.split(" ")[2] == f"SIZE={len(data)}"
    assert ("BODY=8BITMIME" in peer.messages[0].mail) == (not text.isascii())


async def test_text_for_hosts_without_8bitmime_is_signed_as_it_leaves(signing: Relay, peer: Peer) -> None:
    peer.play(without("8BITMIME", "SMTPUTF8"))
    assert await signing.settled(await signing.send("bob@b.test", text=EIGHT)) is None
    data = peer.messages[0].data
    assert data.isascii()
    assert "BODY" not in peer.messages[0].mail
    assert judged(signing, data) == [True, True]
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_content() == "caf\u00e9 = 3\r\n.dot\r\n"


async def test_the_name_in_from_is_the_one_that_signs(signing: Relay, peer: Peer) -> None:
    """A notice of a user's program has the null sender, and an address of another domain here may be the sender."""
    assert await signing.settled(await signing.send("bob@b.test", sender=None)) is None
    assert await signing.settled(await signing.send("bob@b.test", sender="alice@other.test")) is None
    for message in peer.messages:
        assert judged(signing, message.data) == [True, True]


async def test_what_others_wrote_is_not_signed(signing: Relay, peer: Peer) -> None:
    assert await signing.settled(await signing.send("bob@b.test", account=None)) is None
    assert peer.messages[0].data == TEXT


@pytest.mark.parametrize("what", ["recipient", "sender", "header"])
async def test_smtputf8_that_a_host_cannot_take(relay: Relay, peer: Peer, what: str) -> None:
    await relay.add("al\u00e9@a.test")
    peer.play(without("SMTPUTF8"))
    id = await relay.send(
        "b\u00f6b@b.test" if what == "recipient" else "bob@b.test",
        sender="al\u00e9@a.test" if what == "sender" else "alice@a.test",
        text=TEXT.replace(b"hello", "hell\u00f6".encode()) if what == "header" else TEXT,
        smtputf8=True,
    )
    assert await relay.settled(id) is None
    box = "al\u00e9@a.test" if what == "sender" else "alice@a.test"
    await until(lambda: not relay.queue.messages)
    (notice,) = await relay.inbox(box)
    assert b"Status: 5.6.7" in notice
    assert peer.messages == []


@pytest.mark.parametrize("what", ["recipient", "sender", "header"])
async def test_smtputf8_that_a_host_can_take(relay: Relay, peer: Peer, what: str) -> None:
    id = await relay.send(
        "b\u00f6b@b.test" if what == "recipient" else "bob@b.test",
        sender="al\u00e9@a.test" if what == "sender" else "alice@a.test",
        text=TEXT.replace(b"hello", "hell\u00f6".encode()) if what == "header" else TEXT,
        smtputf8=True,
    )
    assert await relay.settled(id) is None
    assert peer.messages[0].mail.endswith(" SMTPUTF8")


async def test_raw_eight_bit_in_a_header_asks_for_nothing_of_a_host(relay: Relay, peer: Peer) -> None:
    """Old mail has it; it is passed on as it came, or as encoded words."""
    text = b"From: alice@a.test\r\nSubject: caf\xe9 au lait\r\n\r\nx\r\n"
    script = without("SMTPUTF8")
    peer.play(script)
    assert await relay.settled(await relay.send("bob@b.test", text=text)) is None
    assert peer.messages[0].data == text
    script.extensions = ("PIPELINING",)
    assert await relay.settled(await relay.send("bob@c.test", text=text)) is None
    assert peer.messages[1].data.isascii()


async def test_a_message_that_is_too_large_for_the_host(relay: Relay, peer: Peer) -> None:
    peer.play(Script(extensions=("PIPELINING", "SIZE 50")))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert b"Status: 5.3.4" in (await relay.notices())[0]
    assert not any(command.startswith("MAIL") for command in peer.commands)


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE many"])
async def test_a_size_that_says_nothing(relay: Relay, peer: Peer, size: str) -> None:
    peer.play(Script(extensions=(size,)))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.messages) == 1


async def test_without_pipelining_each_command_waits_for_its_answer(relay: Relay, peer: Peer) -> None:
    seen = []

    class Watching(Peer):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            plain = reader.readline

            async def readline() -> bytes:
                line = await plain()
                seen.append((line, len(reader._buffer)))  # type: ignore[attr-defined]
                return line

            reader.readline = readline  # type: ignore[method-assign]
            await super()._serve(reader, writer)

    async with Watching(without("PIPELINING")) as watching:
        relay.remote.settings = dataclasses.replace(relay.settings, mx_port=watching.port)
        assert await relay.settled(await relay.send("bob@b.test", "carol@b.test")) is None
        assert [line[:4] for line, _ in seen][:5] == [b"EHLO", b"MAIL", b"RCPT", b"RCPT", b"DATA"]
        assert not any(waiting for _, waiting in seen)


# DSN parameters ---------------------------------------------------------------------------------------------------------


async def test_dsn_parameters_are_passed_on(relay: Relay, peer: Peer) -> None:
    assert (
        await relay.settled(
            await relay.send(
                asked(Notify.NEVER, "one@b.test"),
                asked(Notify.SUCCESS | Notify.DELAY, "two@b.test", "rfc822;first one@b.test"),
                asked(None, "three@b.test"),
                ret=Return.HEADERS,
                envelope_id="id =+1",
            )
        )
        is None
    )
    (message,) = peer.messages
    assert message.mail.endswith(" RET=HDRS ENVID=id+20+3D+2B1")
    assert message.rcpt == [
        "RCPT TO:<one@b.test> NOTIFY=NEVER ORCPT=rfc822;one@b.test",
        "RCPT TO:<two@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+20one@b.test",
        "RCPT TO:<three@b.test>",
    ]
    # The host announced DSN: what becomes of it is the host's to tell.
    assert await relay.inbox() == []


async def test_dsn_parameters_stay_here_where_a_host_has_no_dsn(relay: Relay, peer: Peer) -> None:
    peer.play(without("DSN"))
    id = await relay.send(asked(Notify.SUCCESS), ret=Return.FULL, envelope_id="e")
    assert await relay.settled(id) is None
    (message,) = peer.messages
    assert "RET" not in message.mail
    assert "ENVID" not in message.mail
    assert message.rcpt == ["RCPT TO:<bob@b.test>"]
    (notice,) = await relay.notices()
    assert b"Action: relayed" in notice
    assert b"Original-Envelope-Id: e" in notice


# What leaves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [b".\r\n", b"..\r\n.x\r\n", b"x\r\n.\r\ny\r\n", b"", b"no end"])
async def test_dots_are_stuffed(relay: Relay, peer: Peer, lines: bytes) -> None:
    text = b"From: alice@a.test\r\n\r\n" + lines
    assert await relay.settled(await relay.send("bob@b.test", text=text)) is None
    assert peer.messages[0].data == (text if text.endswith(b"\r\n") else text + b"\r\n")
    raw = peer.sessions[0].raw
    assert raw.endswith(b"\r\n.\r\n")
    assert raw.count(b"\r\n.\r\n") == 1


async def test_dots_at_the_border_of_blocks(relay: Relay, peer: Peer) -> None:
    start = b"From: alice@a.test\r\n\r\n"
    for extra in range(4):
        filler = b"x" * (262144 - len(start) - 2 - 2 + extra) + b"\r\n"
        text = start + filler + b"..a\r\n.\r\n"
        assert await relay.settled(await relay.send("bob@b.test", text=text)) is None
        assert peer.messages[-1].data == text
