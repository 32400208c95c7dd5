"""What clients do to an SMTP door that is not in the book, and what it does then."""

import asyncio
import base64
import contextlib
import errno
import random
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins, is_loopback
from mailstack.policy.milters import INBOUND, Milters, MilterSettings
from mailstack.smtp import data as smtp_data
from mailstack.smtp import protocol
from mailstack.smtp.commands import message as smtp_message
from mailstack.smtp.protocol import BUFFER, LINE_LIMIT
from mailstack.wire.milter import AddHeader, ChangeHeader, InsertHeader, Packet, Word
from tests.support.dnsserver import DnsServer
from tests.support.door import Client, Door, Strict, opened
from tests.support.faults import FailingDisk
from tests.support.milter import Milter, running
from tests.support.peer import Peer, until
from tests.support.relay import Relay

ENVELOPE = b"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\n"
PLAIN = "AUTH PLAIN " + base64.b64encode(b"\0alice@a.test\0x").decode()


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer({"b.test": {"A": ["127.0.0.1"]}}) as one:
        yield one


@pytest.fixture
async def relay(tmp_path: Path, dns: DnsServer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns) as one:
        yield one


@pytest.fixture
async def door(relay: Relay) -> AsyncIterator[Door]:
    async with opened(relay) as one:
        yield one


async def bodies(relay: Relay, name: str = "alice") -> list[bytes]:
    return [message.partition(b"\r\n\r\n")[2] for message in await relay.inbox(f"{name}@a.test")]


# Input cut anywhere, and what does not end a message --------------------------------------------------------------------


async def test_input_cut_at_any_octet_gives_the_same(door: Door, relay: Relay) -> None:
    data = ENVELOPE + b"DATA\r\nA: b\r\n\r\n..x\r\n.\r\nRSET\r\nFOO\r\nMAIL FROM:<>\r\nBDAT 2\r\nabQUIT\r\n"
    answers = set()
    for cut in range(1, len(data)):
        answers.add(re.sub(rb"queued as \w+", b"", await door.converse(data, cut)))
    assert len(answers) == 1
    assert set(await bodies(relay)) == {b".x\r\n"}
    assert len(await bodies(relay)) == len(data) - 1


ENDS = [
    *(b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r.\n"),
    *(b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.hex())
async def test_nothing_else_ends_a_message(door: Door, relay: Relay, end: bytes) -> None:
    inner = b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\nsmuggled\r\n.\r\n"
    for way in (b"DATA\r\nA: b\r\n\r\nfirst", None):
        message = b"A: b\r\n\r\nfirst" + end + inner
        data = ENVELOPE + (way + end + inner if way else b"BDAT %d LAST\r\n" % len(message) + message) + b"QUIT\r\n"
        answer = await door.converse(data)
        assert answer.count(b"queued as") == 0
        assert b"550 5.6.11" in answer
    assert await relay.inbox() == []


@pytest.mark.parametrize("end", [one for one in ENDS if b"\0" not in one], ids=lambda end: end.hex())
async def test_submission_mends_line_ends_and_is_not_fooled(tmp_path: Path, dns: DnsServer, end: bytes) -> None:
    async with Peer() as peer, Relay(tmp_path, dns, peer) as relay, opened(relay, submission=True) as door:
        data = b"From: alice@a.test\r\n\r\nfirst" + end + b"MAIL FROM:<bob@a.test>\r\n.\r\nQUIT\r\n"
        lines = [b"EHLO x", PLAIN.encode(), b"MAIL FROM:<alice@a.test>", b"RCPT TO:<x@b.test>", b"DATA"]
        answer = await door.converse(b"\r\n".join(lines) + b"\r\n" + data)
        assert answer.count(b"queued as") == 1
        assert answer.count(b"2.1.0") == 1
        await until(lambda: not relay.queue.messages)
        (message,) = peer.messages
        body = message.data.partition(b"\r\n\r\n")[2]
        assert not set(body.replace(b"\r\n", b"")) & set(b"\r\n\0")
        assert body.endswith(b"MAIL FROM:<bob@a.test>\r\n")
        assert peer.sessions[0].raw.count(b"\r\n.\r\n") == 1


async def test_nul_never_leaves(relay: Relay) -> None:
    async with opened(relay, submission=True) as door, door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", PLAIN, "MAIL FROM:<alice@a.test>", "RCPT TO:<x@b.test>", "DATA")
        assert (await client.say(b"From: alice@a.test\r\n\r\na\0b\r\n.")).startswith("550 5.6.11")
        assert not relay.queue.messages


# Long, bad and slow -----------------------------------------------------------------------------------------------------


async def test_long_lines_and_large_messages_keep_the_connection(door: Door, relay: Relay) -> None:
    async with door.client() as client:
        await client.reply()
        assert (await client.say(b"NOOP " + b"x" * LINE_LIMIT)).startswith("500 5.5.2")
        assert (await client.say(b"x" * (BUFFER - 10))).startswith("500 5.5.2")
        await client.say_all("EHLO x", "MAIL FROM:<s@far.test>", "RCPT TO:<alice@a.test>", "DATA")
        assert (await client.say(b"A: b\r\n\r\n" + b"x" * (1 << 20) + b"\r\n.")).startswith("552 5.3.4")
        await client.say_all("MAIL FROM:<s@far.test>", "RCPT TO:<alice@a.test>", "DATA")
        assert (await client.say(b"A: b\r\n\r\n" + b"x" * 100_000 + b"\r\n.")).startswith("250")
        client.writer.write(b"y" * (BUFFER * 3))
        assert (await client.reply()).startswith("421 5.5.2")
    assert await bodies(relay) == [b"x" * 100_000 + b"\r\n"]


ENDLESS = [
    (b"DATA\r\n", b"x" * 70, [b"354", b"552 5.3.4"]),
    (b"BDAT 999999999999999 LAST\r\n", b"x" * 70, [b"552 5.3.4"]),
    (b"RSET\r\nBDAT 999999999999999 LAST\r\n", b"x" * 70, [b"250 2.0.0", b"503 5.5.1"]),
]


@contextlib.asynccontextmanager
async def endless(client: Client, start: bytes, piece: bytes) -> AsyncIterator[None]:
    """A client that goes on and on."""

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            client.writer.write(start)
            while True:
                client.writer.write(piece * 1000)
                await client.writer.drain()

    sending = asyncio.create_task(send())
    yield
    sending.cancel()
    await asyncio.wait([sending])


@pytest.mark.parametrize(("command", "piece", "answers"), ENDLESS, ids=["data", "bdat", "bdat-nobody"])
async def test_a_message_without_end_is_cut_off(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, command: bytes, piece: bytes, answers: list[bytes]
) -> None:
    for module in (smtp_data, smtp_message):
        monkeypatch.setattr(module, "OVERRUN", 200_000)
    monkeypatch.setattr(protocol, "PARTING_SECONDS", 60.0)
    async with opened(relay, message_size=100_000) as door, door.client() as client:
        async with endless(client, ENVELOPE + command, piece):
            lines = [b""]
            while not lines[-1].startswith(answers[-1]):
                lines.append(await asyncio.wait_for(client.reader.readline(), 20))
                assert lines[-1], lines
        client.writer.close()
        await until(lambda: not door.server.connections)
        assert [line[: len(answer)] for line, answer in zip(lines[-len(answers) :], answers, strict=True)] == answers
    assert await bodies(relay) == []
    if len(answers) < 2 or answers[0] == b"354":
        (refused,) = [event for event in await relay.data.trace.find("alice@a.test") if event["event"] == "refused"]
        assert (refused["to"], refused["reason"]) == (["alice@a.test"], "size")


async def test_who_goes_on_after_the_answer_is_left(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (smtp_data, smtp_message):
        monkeypatch.setattr(module, "OVERRUN", 200_000)
    monkeypatch.setattr(protocol, "PARTING_SECONDS", 0.1)
    async with opened(relay, message_size=100_000) as door, door.client() as client:
        async with endless(client, ENVELOPE + ENDLESS[0][0], ENDLESS[0][1]):
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(client.reader.read(), 20)
        await until(lambda: not door.server.connections)


async def test_a_header_without_end(relay: Relay) -> None:
    async with opened(relay, message_size=10 << 20) as door, door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", "MAIL FROM:<s@far.test>", "RCPT TO:<alice@a.test>", "DATA")
        assert (await client.say(b"X: y\r\n" * 300_000 + b".")).startswith("552 5.3.4")


@pytest.mark.parametrize("line", [b"FOO", b"\xff\xfe", b"\0", b"MAIL FROM:x", b"RCPT TO:<x@y.test>", b"STARTTLS x", b"BDAT x"])
async def test_hundreds_of_bad_commands_end_it(door: Door, line: bytes) -> None:
    answer = await door.converse((line + b"\r\n") * 300)
    assert len(answer.splitlines()) <= 12
    assert b"Traceback" not in answer


async def test_many_refused_recipients_do_not_stop_a_list(door: Door, relay: Relay) -> None:
    async with door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", "MAIL FROM:<s@far.test>")
        for number in range(60):
            assert (await client.say(f"RCPT TO:<gone{number}@a.test>")).startswith("550 5.1.1")
        await client.say_all("RCPT TO:<alice@a.test>", "DATA")
        assert (await client.say("A: b\r\n\r\nx\r\n.")).startswith("250")
        await client.say("MAIL FROM:<s@far.test>")
        for _ in range(40):
            assert (await client.say("RCPT TO:<gone@a.test>")).startswith("550 5.1.1")
        assert (await client.say("RCPT TO:<gone@a.test>")).startswith("421 4.7.0")


@pytest.mark.parametrize(
    "data", [b"", b"NOO", ENVELOPE, ENVELOPE + b"DATA\r\nA: b\r\n", ENVELOPE + b"BDAT 10\r\nabc"], ids=range(5)
)
async def test_slow_connections_are_closed_with_a_line_in_the_log(
    relay: Relay, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    async with opened(relay, command_seconds=0.2, data_seconds=0.2) as door:
        answer = await door.converse(data)
        assert answer.splitlines()[-1].startswith(b"421 4.4.2")
        assert "smtp.timed_out" in capsys.readouterr().out
        await until(lambda: not door.server.connections)


async def test_octets_that_trickle_do_not_hold_a_connection(relay: Relay) -> None:
    async with opened(relay, command_seconds=0.3) as door, door.client() as client:
        await client.reply()

        async def trickle() -> None:
            while True:
                client.writer.write(b"x")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        assert (await client.reply()).startswith("421 4.4.2")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_client_that_only_closed_its_half_gets_its_answers(door: Door, relay: Relay) -> None:
    async with door.client() as client:
        client.writer.write(ENVELOPE + b"DATA\r\nA: b\r\n\r\nx\r\n.\r\n")
        client.writer.write_eof()
        answer = await asyncio.wait_for(client.reader.read(), 10)
    assert b"queued as" in answer
    await until(lambda: not door.server.connections)
    assert await bodies(relay) == [b"x\r\n"]


@pytest.mark.parametrize("reset", [True, False])
async def test_a_client_that_vanishes_after_the_final_dot_has_its_mail_delivered_once(
    door: Door, relay: Relay, reset: bool
) -> None:
    async with door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", "MAIL FROM:<s@far.test>", "RCPT TO:<alice@a.test>", "DATA")
        client.writer.write(b"A: b\r\n\r\nx\r\n.\r\n")
        if reset:
            one = client.writer.get_extra_info("socket")
            await until(lambda: any(connection.transaction is None for connection in door.server.connections))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
    await until(lambda: not door.server.connections)
    end = asyncio.get_running_loop().time() + 10
    while not await bodies(relay) and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.01)
    assert await bodies(relay) == [b"x\r\n"]


@pytest.mark.parametrize("rest", [b"DATA\r\nA: b\r\n\r\nx\r\n.\r", b"BDAT 9 LAST\r\nA: b\r\n\r\n"], ids=["data", "bdat"])
async def test_a_client_that_vanishes_before_the_end_left_nothing(door: Door, relay: Relay, rest: bytes) -> None:
    async with door.client() as client:
        client.writer.write(ENVELOPE + rest)
        await client.writer.drain()
    await until(lambda: not door.server.connections)
    assert await relay.inbox() == []
    assert not list((relay.data.path / "spool").iterdir())


# The disk ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder"])
@pytest.mark.parametrize(("error", "code"), [(errno.ENOSPC, "452 4.3.1"), (errno.EIO, "451 4.3.0"), (errno.EROFS, "451 4.3.0")])
async def test_a_disk_that_fails_is_4xx_and_work_goes_on_afterwards(
    tmp_path: Path, dns: DnsServer, step: str, error: int, code: str
) -> None:
    disk = FailingDisk((step,))
    async with Relay(tmp_path, dns, disk=disk) as relay, opened(relay) as door, door.client() as client:
        await relay.inbox()
        await client.reply()
        await client.say("EHLO x")
        for failing in (True, False):
            await client.say_all("MAIL FROM:<s@far.test>", "RCPT TO:<alice@a.test>", "DATA")
            disk.error = error if failing else None
            reply = await client.say("A: b\r\n\r\nx\r\n.")
            disk.error = None
            assert reply.startswith(code if failing else "250")
        assert await bodies(relay) == [b"x\r\n"]


@pytest.mark.parametrize("body", [b"x" * 600_000, b"x\r\n"], ids=["large", "small"])
async def test_a_spool_that_can_not_be_written(relay: Relay, tmp_path: Path, body: bytes) -> None:
    """Large messages need it; small ones never see it."""
    spool = tmp_path / "gone"
    async with opened(relay, submission=True, spool=spool) as door, door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", PLAIN)
        for expected in ("452 4.3.1" if len(body) > 9000 else "250", "250"):
            await client.say_all("MAIL FROM:<alice@a.test>", "RCPT TO:<alice@a.test>", "DATA")
            reply = await client.say(b"From: alice@a.test\r\nBcc: x\r\nDate: y\r\n\r\n" + body + b"\r\n.")
            assert reply.startswith(expected)
            spool.mkdir(exist_ok=True)


# Logins -----------------------------------------------------------------------------------------------------------------


def tls_context() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("x").configure_cert(server)
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client


async def test_no_login_without_tls(relay: Relay) -> None:
    server, context = tls_context()
    async with opened(relay, submission=True, tls=server, allow_plaintext=False) as door, door.client() as client:
        await client.reply()
        client.writer.write(b"EHLO x\r\n")
        lines = [await client.reader.readline() for _ in range(9)]
        assert not any(b"AUTH" in line for line in lines)
        assert b"250 STARTTLS\r\n" in lines
        assert (await client.say(PLAIN)).startswith("538 5.7.11")
        assert (await client.say("AUTH LOGIN")).startswith("538 5.7.11")
        assert (await client.say("MAIL FROM:<alice@a.test>")).startswith("530 5.7.0")
        await client.start_tls(context)
        assert (await client.say("EHLO x")).startswith("250 AUTH PLAIN LOGIN")
        assert (await client.say(PLAIN)).startswith("235")


def test_plain_logins_are_for_loopback_alone() -> None:
    assert all(is_loopback(peer) for peer in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(peer) for peer in ("192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "local", ""))


async def test_a_changed_password_ends_sessions(relay: Relay) -> None:
    async with opened(relay, submission=True) as door, door.client() as client, door.client() as other:
        for one in (client, other):
            await one.reply()
            await one.say("EHLO x")
        assert (await client.say(PLAIN)).startswith("235")
        await relay.data.directory.set_password("alice@a.test", "{PLAIN}new")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.reader.read() == b""
        assert (await other.say(PLAIN)).startswith("535 5.7.8")


async def test_what_comes_while_the_answer_to_starttls_waits_is_nobodys_word(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads slowly, or somebody in front of it who makes it so, has time to send more before the handshake."""
    server, _ = tls_context()
    async with opened(relay, tls=server) as door, door.client() as client:
        await client.reply()
        (connection,) = door.server.connections

        async def drain() -> None:
            connection._reader.feed_data(b"EHLO evil\r\nMAIL FROM:<evil@far.test>\r\n")  # type: ignore[attr-defined]

        monkeypatch.setattr(connection._writer, "drain", drain)
        client.writer.write(b"STARTTLS\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(client.reader.read(), 20)
        await until(lambda: not door.server.connections)
        assert not connection.secure
        assert connection.helo is None


async def test_a_session_that_is_ended_looks_at_nothing_more(relay: Relay) -> None:
    async with opened(relay, submission=True) as door, door.client() as client:
        await client.reply()
        await client.say("EHLO x")
        assert (await client.say(PLAIN)).startswith("235")
        (connection,) = door.server.connections
        connection.put_back(b"MAIL FROM:<alice@a.test>\r\n")
        door.server.end_sessions("alice@a.test")
        assert (await client.reply()).startswith("421 4.7.0")
        await until(lambda: not door.server.connections)
        assert connection.transaction is None


async def test_thousands_of_commands_in_one_go_keep_nobody_waiting(door: Door) -> None:
    async with door.client() as many, door.client() as other:
        for one in (many, other):
            await one.reply()
        await asyncio.sleep(0)
        many.writer.write(b"NOOP\r\n" * 20_000 + b"QUIT\r\n")
        assert (await other.say("NOOP")).startswith("250")
        assert (await asyncio.wait_for(many.reader.read(200_000), 20)).count(b"\r\n") < 20_000
        await asyncio.wait_for(many.reader.read(), 20)


async def test_wrong_passwords_slow_the_pair(relay: Relay) -> None:
    waits = []

    class Noting(Limits):
        async def wait_turn(self, peer: str, account: str) -> None:
            waits.append(self.delay(peer, account))

    limits = Noting(100, clock=lambda: 5.0)
    wrong = "AUTH PLAIN " + base64.b64encode(b"\0alice@a.test\0no").decode()
    async with opened(relay, submission=True, limits=limits) as door, door.client() as client:
        await client.reply()
        await client.say("EHLO x")
        for _ in range(5):
            assert (await client.say(wrong)).startswith("535")
        assert waits == [0.0, 0.0, 0.0, 0.5, 1.0]


# Crowds -----------------------------------------------------------------------------------------------------------------


async def test_too_many_from_one_address(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(relay, submission=True, limits=Strict(1)) as door, door.client() as first:
        await first.reply()
        async with door.client() as second:
            assert (await second.reply()).startswith("421 4.7.0 Too many connections from your address")
            assert await second.reader.read() == b""
        assert "smtp.too_many_connections" in capsys.readouterr().out
        # Whoever logs in is counted no more.
        await first.say_all("EHLO x", PLAIN)
        async with door.client() as third:
            assert (await third.reply()).startswith("220")
        await until(lambda: len(door.server.connections) == 1)
        assert door.server.services.limits.connected("127.0.0.1") is None


async def test_who_is_banned_may_not_log_in_and_may_still_bring_mail(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    banned = False
    monkeypatch.setattr(Logins, "refuses", lambda self, peer: banned)
    async with opened(relay, submission=True) as door, opened(relay) as inbound:
        async with door.client() as early:
            await early.say_all("EHLO x", "NOOP")
            banned = True
            early.writer.write(PLAIN.encode() + b"\r\n")
            said = (await asyncio.wait_for(early.reader.read(), 20)).decode().splitlines()
            assert said[-1] == "421 4.7.0 Too many failed logins from your network; try again later"
        async with door.client() as late:
            assert (await late.reply()).startswith("421 4.7.0 Too many failed logins")
            assert await late.reader.read() == b""
        async with inbound.client() as other:
            assert (await other.reply()).startswith("220")


async def test_too_many_at_all(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(relay, submission=True, limits=Limits(100, connections=2)) as door:
        async with door.client() as first, door.client() as second:
            await first.reply()
            await second.reply()
            await first.say_all("EHLO x", PLAIN)
            async with door.client() as third:
                assert (await third.reply()).startswith("421 4.7.0 Too many connections to this server")
            assert "reason=all" in re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
            # Those who are in stay in.
            assert (await first.say("NOOP")).startswith("250")
        await until(lambda: not door.server.connections)
        async with door.client() as again:
            assert (await again.reply()).startswith("220")
    await until(lambda: door.server.services.limits.open == 0)


# What is stored and sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 600_000])
async def test_bcc_leaves_with_submission(relay: Relay, size: int) -> None:
    async with opened(relay, submission=True) as door, door.client() as client:
        await client.reply()
        await client.say_all("EHLO x", PLAIN, "MAIL FROM:<alice@a.test>", "RCPT TO:<alice@a.test>", "DATA")
        header = (
            b"From: alice@a.test\r\nBcc: hidden@far.test,\r\n more@far.test\r\nTo: x@y\r\nBCC:\r\nResent-Bcc: z@far.test\r\n"
        )
        assert (await client.say(header + b"\r\nBcc: in the body\r\n" + b"x" * size + b"\r\n.")).startswith("250")
    (message,) = await relay.inbox()
    head, _, body = message.partition(b"\r\n\r\n")
    assert b"bcc" not in head.lower()
    assert b"far.test" not in head
    assert b"To: x@y" in head
    assert body == b"Bcc: in the body\r\n" + b"x" * size + b"\r\n"


@pytest.mark.parametrize("size", [10, 700_000])
async def test_a_header_that_a_filter_changed(relay: Relay, size: int) -> None:
    """In memory, and in the spool."""
    changes: list[Packet] = [
        InsertHeader(0, b"X-Top", b"t"),
        ChangeHeader(1, b"A", b""),
        AddHeader(b"X-End", b"e"),
        Word.ACCEPT,
    ]
    async with running(Milter({b"E": [*changes, Word.ACCEPT]})) as one:
        milters = Milters("mail.a.test", relay.data.trace, INBOUND, MilterSettings((f"127.0.0.1:{one.port}",)))
        async with opened(relay, milters=milters) as door:
            body = b"x" * 70 + b"\r\n"
            data = b"A: b\r\nB: c\r\n\r\n" + body * (size // 72 + 1)
            await door.converse(ENVELOPE + b"DATA\r\n" + data + b".\r\nQUIT\r\n")
    (found,) = await relay.inbox("alice@a.test")
    header, _, rest = found.partition(b"\r\n\r\n")
    assert rest == body * (size // 72 + 1)
    assert re.fullmatch(rb"Return-Path: [^\n]*\nX-Top: t\r\nReceived: .*\r\nB: c\r\nX-End: e", header, re.DOTALL)


async def test_received_names_a_recipient_only_where_there_is_one(door: Door, relay: Relay) -> None:
    await relay.add("bob@a.test")
    for recipients in (["alice"], ["alice", "bob"]):
        async with door.client() as client:
            await client.reply()
            await client.say_all("EHLO (evil)\u00e9", "MAIL FROM:<s@far.test>")
            await client.say_all(*(f"RCPT TO:<{name}@a.test>" for name in recipients), "DATA")
            assert (await client.say("A: b\r\n\r\nx\r\n.")).startswith("250")
    one, two = await relay.inbox()
    assert one.startswith(b"Return-Path: <s@far.test>\r\nReceived: from ?evil?? ([127.0.0.1])\r\n")
    assert b"with ESMTP id " in one
    assert b"for <alice@a.test>" in one
    assert b"for <" not in two


async def test_null_and_helo(door: Door, relay: Relay) -> None:
    async with door.client() as client:
        await client.reply()
        await client.say_all("HELO x", "MAIL FROM:<>", "RCPT TO:<alice@a.test>", "DATA", "A: b\r\n\r\nx\r\n.")
    (message,) = await relay.inbox()
    assert message.startswith(b"Return-Path: <>\r\n")
    assert b"with SMTP id " in message


# Whatever comes ---------------------------------------------------------------------------------------------------------


async def test_a_client_that_never_reads_is_let_go(
    relay: Relay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.2)
    async with opened(relay, command_seconds=0.5) as door:
        one = socket.create_connection(("127.0.0.1", door.port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(20):
                while True:
                    await loop.sock_sendall(one, b"EHLO x\r\n" * 2000)
        await until(lambda: not door.server.connections)
        one.close()
        assert "smtp.timed_out" in capsys.readouterr().out
        assert door.server.services.limits.open == 0


async def test_a_handshake_of_rubbish(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    server, _ = tls_context()
    async with opened(relay, tls=server) as door, door.client() as client:
        await client.reply()
        await client.say("EHLO x")
        assert (await client.say("STARTTLS")).startswith("220")
        client.writer.write(b"no handshake\r\n" * 10)
        assert b"Traceback" not in await client.reader.read()
        await until(lambda: not door.server.connections)
    assert "smtp.tls_failed" in capsys.readouterr().out


WORDS = [
    *(b"EHLO", b"HELO", b"MAIL", b"RCPT", b"DATA", b"BDAT", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"HELP", b"AUTH", b"STARTTLS"),
    *(
        b" ",
        b"FROM:",
        b"TO:",
        b"<>",
        b"<s@far.test>",
        b"<alice@a.test>",
        b"<x@far.test>",
        b"<SRS0=\xc3\xa9=AA=b=c@a.test>",
        b"x",
    ),
    *(
        b" SIZE=5",
        b" SMTPUTF8",
        b" NOTIFY=NEVER",
        b" 5",
        b" LAST",
        b" PLAIN",
        b" LOGIN",
        b"=",
        b"*",
        b"\xff",
        b"\0",
        b"\r",
        b".",
    ),
    *(
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"EHLO x\r\n",
        b"MAIL FROM:<s@far.test>\r\n",
        b"RCPT TO:<alice@a.test>\r\n",
        b"DATA\r\n",
    ),
    *(b"\r\n.\r\n", b"BDAT 3 LAST\r\nabc", b"From: alice@a.test\r\n\r\n"),
]


@pytest.mark.parametrize("submission", [False, True])
async def test_any_words_get_answers_and_never_a_stack(
    relay: Relay, capsys: pytest.CaptureFixture[str], submission: bool
) -> None:
    randomness = random.Random(11)
    async with opened(relay, submission=submission, data_seconds=2.0) as door:
        for _ in range(150):
            words = b"".join(randomness.choice(WORDS) for _ in range(40))
            start = b"EHLO x\r\n" + PLAIN.encode() + b"\r\n" if submission else b""
            async with door.client() as client:
                client.writer.write(start + words)
                client.writer.write_eof()
                answer = await asyncio.wait_for(client.reader.read(), 20)
            for line in answer.split(b"\r\n")[:-1]:
                assert re.match(rb"[2-5][0-9]{2}[ -]", line), (words, line)
    shown = capsys.readouterr().out
    assert "connection_failed" not in shown
    assert "Traceback" not in shown
    # Nothing left without a login.
    assert submission or not relay.queue.messages
