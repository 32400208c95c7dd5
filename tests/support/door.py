"""An SMTP door in the test's own loop, with its floors below, and a client that speaks octets."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from mailstack.policy.inbound import InboundPolicy, Recipients
from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins
from mailstack.policy.milters import Milters
from mailstack.policy.submission import SubmissionPolicy
from mailstack.smtp.protocol import SmtpServices
from mailstack.smtp.server import SmtpServer
from mailstack.store.users.passwords import PasswordChecker
from tests.support.relay import Relay


class Strict(Limits):
    """Loopback is no exception."""

    def exempt(self, peer: str) -> bool:
        return False


class Door:
    def __init__(self, relay: Relay, server: SmtpServer, port: int) -> None:
        self.relay = relay
        self.server = server
        self.port = port

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def converse(self, data: bytes, cut: int | None = None) -> bytes:
        """Send octets, in two pieces if `cut` says so; all that came back until the server closed."""
        async with self.client() as client:
            if cut is not None:
                client.writer.write(data[:cut])
                await client.writer.drain()
                for _ in range(5):
                    await asyncio.sleep(0)
                data = data[cut:]
            client.writer.write(data)
            return await asyncio.wait_for(client.reader.read(), 20)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 20)).decode().rstrip("\r\n")
            if line[3:4] != "-":
                return line

    async def say(self, line: str | bytes) -> str:
        self.writer.write((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def say_all(self, *lines: str | bytes) -> str:
        """Several, one after another; the last reply."""
        found = ""
        for line in lines:
            found = await self.say(line)
        return found

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.say("STARTTLS")).startswith("220")
        await self.writer.start_tls(context, server_hostname="x")


@contextlib.asynccontextmanager
async def opened(
    relay: Relay,
    *,
    submission: bool = False,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    allow_plaintext: bool = True,
    spool: Path | None = None,
    message_size: int = 1 << 20,
    command_seconds: float = 20.0,
    data_seconds: float = 20.0,
    milters: Milters | None = None,
) -> AsyncIterator[Door]:
    data = relay.data
    recipients = Recipients(relay.router, data.directory, data.mailboxes, 1000)
    inbound = InboundPolicy(recipients, milters=milters)
    passwords = PasswordChecker(data.directory)
    limits = limits or Limits(1000)
    services = SmtpServices(
        hostname="mail.a.test",
        policy=SubmissionPolicy(recipients, data.directory, "mail.a.test", relay.clock, relay.random)
        if submission
        else inbound,
        acceptor=relay.acceptor,
        limits=limits,
        trace=data.trace,
        spool=spool or data.path / "spool",
        message_size=message_size,
        tls=tls,
        logins=Logins(data.directory, passwords, data.scram, limits) if submission else None,
        allow_plaintext=allow_plaintext,
        randomness=relay.random,
        clock=relay.clock,
        command_seconds=command_seconds,
        data_seconds=data_seconds,
    )
    server = SmtpServer(services)
    data.directory.on_revoked.append(server.end_sessions)
    one = socket.create_server(("127.0.0.1", 0))
    one.setblocking(False)
    await server.listen([one], None)
    try:
        yield Door(relay, server, one.getsockname()[1])
    finally:
        await server.stop(1.0)
        passwords.close()
