"""Silent clients are closed with a line in the log; a wall clock that jumps harms nothing. The server runs in this process."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509

from mailstack.app import Appliance, Surroundings
from mailstack.config import Auth, Config, Listen
from mailstack.config import Limits as LimitSettings
from mailstack.store.disk import Disk

DAY = 86400.0


class Clock:
    """The wall's."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def configuration(folder: Path, **settings: Any) -> Config:
    listen = Listen(**{name: ["127.0.0.1:0"] for name in Listen.__struct_fields__})
    return Config(hostname="mail.a.test", data_dir=str(folder / "data"), listen=listen, **settings)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def appliance(tmp_path: Path, clock: Clock) -> AsyncIterator[Appliance]:
    one = Appliance(configuration(tmp_path, auth=Auth(allow_plaintext=True)), Surroundings(Disk(), clock))
    await one.start()
    await do(one, "domain.add", domain="a.test")
    await do(one, "user.add", address="alice@a.test", password="sesame")
    yield one
    await one.stop()


async def do(appliance: Appliance, name: str, **arguments: Any) -> Any:
    return await appliance.data.operations(appliance.runner)[name](arguments)


class Talk:
    """A plain connection to a door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, appliance: Appliance, name: str) -> "Talk":
        context = None
        if name in ("imaps", "submissions", "pop3s"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return cls(*await asyncio.open_connection("127.0.0.1", appliance.ports[name][0], ssl=context))

    async def say(self, words: str, until: str) -> bytes:
        self.writer.write(words.encode())
        found = b""
        async with asyncio.timeout(20):
            while until.encode() not in found:
                line = await self.reader.readline()
                assert line, found
                found += line
        return found

    async def rest(self) -> bytes:
        async with asyncio.timeout(20):
            found = await self.reader.read()
        self.writer.close()
        return found


async def test_silent_clients_are_closed_with_a_line_in_the_log(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailstack.door import connection, server
    from mailstack.web import server as web

    for door in appliance.doors.smtp.values():
        door.services = replace(door.services, command_seconds=0.2, data_seconds=0.2)
    with structlog.testing.capture_logs() as logged:
        silent = await Talk.to(appliance, "smtp")
        assert b"421 4.4.2" in await silent.rest()
        data = await Talk.to(appliance, "smtp")
        await data.say("EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\n", "354 ")
        assert b"250" not in await data.rest()
    assert [event["event"] for event in logged].count("smtp.timed_out") >= 1
    monkeypatch.setattr(web, "HEAD_SECONDS", 0.2)
    with structlog.testing.capture_logs() as logged:
        half = await Talk.to(appliance, "http")
        half.writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert await half.rest() == b""
    assert [event["event"] for event in logged].count("http.timed_out") == 1
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 0.0)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    appliance.doors.imap._looker.cancel()  # type: ignore[union-attr]
    appliance.doors.imap._looker = asyncio.create_task(appliance.doors.imap._look())
    with structlog.testing.capture_logs() as logged:
        silent = await Talk.to(appliance, "imap")
        assert b"* BYE Autologout" in await silent.rest()
    assert "imap.timed_out" in [event["event"] for event in logged]


async def test_silent_pop3_clients_are_closed_and_nothing_is_removed(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailstack.door import connection, server
    from mailstack.pop3.connection import Connection

    await deliver(appliance, "kept")
    talk = await Talk.to(appliance, "pop3s")
    await talk.say("USER alice@a.test\r\nPASS sesame\r\nDELE 1\r\n", "QUIT")
    before = await Talk.to(appliance, "pop3")
    await before.say("", "+OK")
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 0.0)
    monkeypatch.setattr(Connection, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    appliance.doors.pop3._looker.cancel()  # type: ignore[union-attr]
    appliance.doors.pop3._looker = asyncio.create_task(appliance.doors.pop3._look())
    with structlog.testing.capture_logs() as logged:
        assert await before.rest() == await talk.rest() == b""
    assert [event["event"] for event in logged].count("pop3.timed_out") == 2
    monkeypatch.undo()
    async with asyncio.timeout(20):
        while b"+OK 1 messages" not in await (again := await Talk.to(appliance, "pop3s")).say(
            "USER alice@a.test\r\nPASS sesame\r\nNOOP\r\nQUIT\r\n", "\r\n+OK Bye"
        ):
            again.writer.close()
    again.writer.close()


async def test_a_client_that_reads_nothing_is_let_go(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of an answer, and in IDLE; what it costs until then is bounded."""
    from mailstack.door import server
    from mailstack.imap import connection

    talk = await Talk.to(appliance, "imap")
    await talk.say('a LOGIN alice@a.test "sesame"\r\n', "a OK")
    size = 1_500_000
    for _ in range(6):
        talk.writer.write(b"b APPEND INBOX {%d+}\r\n" % size + b"x" * size)
        await talk.say("\r\n", "b OK")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, ("127.0.0.1", appliance.ports["imap"][0]))
    await loop.sock_sendall(deaf, b'a LOGIN alice@a.test "sesame"\r\nb SELECT INBOX\r\nc FETCH 1:6 BODY.PEEK[]\r\n')
    async with asyncio.timeout(20):
        while not any(one.deaf for one in appliance.doors.imap.connections):
            await asyncio.sleep(0.01)
    stuck = next(one for one in appliance.doors.imap.connections if one.deaf)
    assert stuck.transport.get_write_buffer_size() < 4_000_000
    monkeypatch.setattr(connection, "DEAF_SECONDS", -1.0)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    appliance.doors.imap._looker.cancel()  # type: ignore[union-attr]
    appliance.doors.imap._looker = asyncio.create_task(appliance.doors.imap._look())
    with structlog.testing.capture_logs() as logged:
        async with asyncio.timeout(20):
            while stuck in appliance.doors.imap.connections:
                await asyncio.sleep(0.01)
    assert "imap.timed_out" in [event["event"] for event in logged]
    assert stuck.session is not None
    assert stuck.session.selected is None
    deaf.close()
    await talk.say("d NOOP\r\n", "d OK")


async def test_what_happens_while_a_client_reads_nothing_is_told_at_once_when_it_reads(appliance: Appliance) -> None:
    """Nothing is gathered for it meanwhile: it is told how things are then."""
    idler, other = await Talk.to(appliance, "imap"), await Talk.to(appliance, "imap")
    for one in (idler, other):
        await one.say('a LOGIN alice@a.test "sesame"\r\nb SELECT INBOX\r\n', "b OK")
    await idler.say("c IDLE\r\n", "+ ")
    connection = next(
        one for one in appliance.doors.imap.connections if one.session is not None and one.session.idling is not None
    )
    connection.pause_writing()
    for number in range(30):
        await other.say(f"d{number} APPEND INBOX {{3+}}\r\nabc\r\n", f"d{number} OK")
        await other.say(f"e{number} STORE 1 +FLAGS.SILENT (k{number % 5})\r\n", f"e{number} OK")
    assert connection._out == []
    assert connection.transport.get_write_buffer_size() == 0
    connection.resume_writing()
    told = await idler.say("DONE\r\n", "c OK")
    assert told.count(b" EXISTS") == 1
    assert b"* 30 EXISTS" in told
    assert told.count(b"* 1 FETCH") == 1


STARTTLS = (
    ("smtp", "EHLO x\r\nSTARTTLS\r\n", "220 2.0.0"),
    ("submission", "EHLO x\r\nSTARTTLS\r\n", "220 2.0.0"),
    ("imap", "a STARTTLS\r\n", "a OK"),
    ("pop3", "STLS\r\n", "+OK Begin"),
    ("managesieve", "STARTTLS\r\n", "Begin"),
)


async def test_who_is_lost_while_shaking_hands_counts_no_more(appliance: Appliance) -> None:
    for door, words, until in STARTTLS:
        talk = await Talk.to(appliance, door)
        await talk.say(words, until)
        assert appliance._limits.open == 1
        # The connection ends with a reset.
        talk.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.writer.transport.abort()
        async with asyncio.timeout(20):
            while appliance._limits.open:
                await asyncio.sleep(0.01)


async def test_a_stop_does_not_wait_for_who_is_shaking_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailstack.app import doors
    from mailstack.net import serving

    monkeypatch.setattr(doors, "STOP_SECONDS", 1000.0)
    monkeypatch.setattr(serving, "LAST_SECONDS", 1000.0)
    one = Appliance(configuration(tmp_path))
    await one.start()
    talks = [await Talk.to(one, door) for door, _, _ in STARTTLS]
    for talk, (_, words, until) in zip(talks, STARTTLS, strict=True):
        await talk.say(words, until)
    async with asyncio.timeout(60):
        await one.stop()
    for talk in talks:
        with contextlib.suppress(ConnectionError):
            assert await talk.rest() == b""


async def test_no_more_connections_than_the_limit(tmp_path: Path) -> None:
    one = Appliance(configuration(tmp_path, limits=LimitSettings(connections=3)))
    await one.start()
    try:
        kept = [await Talk.to(one, name) for name in ("smtp", "imap", "imap")]
        for talk in kept:
            assert await talk.reader.readline()
        with structlog.testing.capture_logs() as logged:
            assert (await (await Talk.to(one, "smtp")).rest()).startswith(b"421 ")
            assert (await (await Talk.to(one, "imap")).rest()).startswith(b"* BYE ")
        assert {event["event"] for event in logged} >= {"smtp.too_many_connections", "imap.too_many_connections"}
        # Others may come when some have left.
        for talk in kept:
            talk.writer.close()
            await talk.writer.wait_closed()
        async with asyncio.timeout(20):
            while not (line := await (again := await Talk.to(one, "smtp")).reader.readline()).startswith(b"220"):
                assert line.startswith(b"421")
                await asyncio.sleep(0.01)
        again.writer.close()
    finally:
        await one.stop()


async def deliver(appliance: Appliance, subject: str) -> str:
    talk = await Talk.to(appliance, "smtp")
    await talk.say("EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\n", "354 ")
    answer = await talk.say(f"From: s@far.test\r\nSubject: {subject}\r\n\r\nHello.\r\n.\r\n", "queued as")
    await talk.say("QUIT\r\n", "221")
    talk.writer.close()
    return answer.split()[-1].decode()


async def log_in(appliance: Appliance) -> Talk:
    talk = await Talk.to(appliance, "imaps")
    await talk.say("a LOGIN alice@a.test sesame\r\n", "a OK")
    return talk


async def serial(appliance: Appliance) -> x509.Certificate:
    talk = await Talk.to(appliance, "imaps")
    found = talk.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    talk.writer.close()
    return x509.load_der_x509_certificate(found)


@pytest.mark.parametrize("days", [-400.0, -3.0, 3.0, 400.0])
async def test_the_wall_clock_jumps(appliance: Appliance, clock: Clock, days: float) -> None:
    """Mail, logins, sessions, queue and trace go on; UIDs only rise."""
    session = await log_in(appliance)
    await session.say("s SELECT INBOX\r\n", "s OK")
    before = await deliver(appliance, "before")
    clock.now += days * DAY
    after = await deliver(appliance, "after")
    assert before != after
    found = await session.say("n NOOP\r\nu UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n", "u OK")
    assert found.index(b"(UID 1 ") < found.index(b"Subject: before") < found.index(b"(UID 2 ") < found.index(b"Subject: after")
    # The proof of the password is not the wall's business, and neither is a new one.
    again = await log_in(appliance)
    await do(appliance, "user.passwd", address="alice@a.test", password="another")
    assert b"* BYE" in await again.rest()
    talk = await Talk.to(appliance, "imaps")
    await talk.say("a LOGIN alice@a.test another\r\n", "a OK")
    talk.writer.close()
    assert [event["event"] for event in await do(appliance, "trace", text=after)][-2:] == ["accepted", "delivered"]
    session.writer.close()


async def test_a_self_signed_certificate_is_made_anew_in_time(appliance: Appliance, clock: Clock) -> None:
    first = await serial(appliance)
    await appliance.reload(None)
    assert (await serial(appliance)).serial_number == first.serial_number
    clock.now = first.not_valid_after_utc.timestamp() - 20 * DAY
    await appliance.reload(None)
    assert (await serial(appliance)).not_valid_after_utc > first.not_valid_after_utc
