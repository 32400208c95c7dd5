"""The SMTP client: one connection to one host, messages one after another (RFC 5321, 2920, 3207, 3461, 6152)."""

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from mailstack.delivery.outcome import Delivered, Failed, Outcome
from mailstack.message.envelope import Envelope, Notify, Recipient, TlsWish
from mailstack.message.errors import SyntaxProblem
from mailstack.net.tls import peer_chain
from mailstack.wire.smtp import Reply, ReplyParser, encode_xtext, parse_ehlo

LINE_LIMIT = 65536
_SIZE = re.compile("[0-9]{1,20}")  # RFC 1870 3


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for another host (RFC 5321 4.5.3.2)."""

    connect: float = 30.0
    greeting: float = 120.0
    command: float = 120.0
    data_start: float = 120.0
    data_block: float = 180.0
    data_end: float = 600.0
    quit: float = 5.0


class ClientProblem(Exception):
    """The connection is of no more use: what the other host said, or what went wrong.

    `sent`: the whole message went out, so that the other host may have it. `unproved`: the certificate is not the one that
    was wanted.
    """

    def __init__(self, reply: Reply, *, tls: bool = False, sent: bool = False, unproved: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.tls = tls
        self.unproved = unproved
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str


class SmtpClient:
    """Connect, then deliver() any number of times, then quit()."""

    def __init__(self, host: str, helo: str, timeouts: Timeouts | None = None) -> None:
        self.host = host
        self.helo = helo
        self._timeouts = timeouts or Timeouts()
        self.extensions: dict[str, str] = {}
        self.secure = False
        self.version: str | None = None  # of TLS
        self.tls: str | None = None  # version and proof, for the trace
        self.worse: str | None = None  # than what the domain had before
        self.used = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._parser = ReplyParser()

    @property
    def alive(self) -> bool:
        return self._writer is not None and not self._writer.is_closing() and not self._reader.at_eof()

    async def connect(
        self,
        address: str,
        port: int,
        *,
        source: str | None = None,
        implicit_tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect and read the greeting. Raises ClientProblem."""
        local = (source, 0) if source else None
        try:
            async with asyncio.timeout(self._timeouts.connect):
                self._reader, self._writer = await asyncio.open_connection(
                    address,
                    port,
                    limit=LINE_LIMIT,
                    local_addr=local,
                    ssl=implicit_tls,
                    server_hostname=self.host if implicit_tls else None,
                )
        except ssl.SSLError as problem:
            raise ClientProblem(Reply(451, "4.7.5", f"TLS with {self.host} failed: {problem.reason}"), tls=True) from problem
        except (OSError, TimeoutError) as problem:
            reason = "timed out" if isinstance(problem, TimeoutError) else (problem.strerror or "failed")
            raise ClientProblem(Reply(451, "4.4.1", f"connection to {self.host} [{address}] {reason}")) from problem
        self.secure = implicit_tls is not None
        if self.secure:
            self.version = self._writer.get_extra_info("ssl_object").version()
        try:
            greeting = await self._reply(self._timeouts.greeting)
            if not greeting.positive:
                raise ClientProblem(greeting)
            await self._ehlo()
        except ClientProblem:
            await self.quit()
            raise

    async def _ehlo(self) -> None:
        reply = await self.command(f"EHLO {self.helo}")
        if reply.positive:
            self.extensions = parse_ehlo(reply)
            return
        reply = await self.command(f"HELO {self.helo}")
        if not reply.positive:
            raise ClientProblem(reply)
        self.extensions = {}

    async def start_tls(
        self, context: ssl.SSLContext, *, name: str | None = None, judge: Callable[[list[bytes]], str | None] | None = None
    ) -> None:
        """Raises ClientProblem with `tls` set when there is no TLS to be had.

        `name`: for SNI, where it is not the host's. `judge` says what is wrong with the certificates that were shown.
        """
        try:
            reply = await self.command("STARTTLS")
        except ClientProblem as problem:
            raise ClientProblem(problem.reply, tls=True) from problem
        if not reply.positive:
            await self.quit()
            raise ClientProblem(reply, tls=True)
        try:
            if self._reader._buffer:  # type: ignore[attr-defined]
                # Said before the handshake: nobody knows by whom.
                raise ssl.SSLError("words before the handshake")
            assert self._writer is not None
            async with asyncio.timeout(self._timeouts.connect):
                await self._writer.start_tls(context, server_hostname=name or self.host)
        except (ssl.SSLError, OSError, TimeoutError, ValueError) as problem:
            self.abort()
            words = str(problem) or "timed out"
            raise ClientProblem(Reply(451, "4.7.5", f"TLS with {self.host} failed: {words}"), tls=True) from problem
        end = self._writer.get_extra_info("ssl_object")
        self.version = end.version()
        wrong = judge(peer_chain(end)) if judge is not None else None
        if wrong is not None:
            self.abort()
            raise ClientProblem(Reply(451, "4.7.5", f"{self.host}: {wrong}"), tls=True, unproved=True)
        self.secure = True
        await self._ehlo()

    async def log_in(self, credentials: Credentials) -> None:
        """AUTH PLAIN, or LOGIN where that is all there is. Only over TLS that was verified."""
        offered = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in offered or "LOGIN" not in offered:
            token = base64.b64encode(f"\0{credentials.user}\0{credentials.password}".encode()).decode()
            reply = await self.command(f"AUTH PLAIN {token}")
        else:
            reply = await self.command("AUTH LOGIN")
            for text in (credentials.user, credentials.password):
                if reply.code == 334:
                    reply = await self.command(base64.b64encode(text.encode()).decode())
        if reply.code != 235:
            # The next host's trouble with our login is ours to mend: mail waits, it does not bounce.
            raise ClientProblem(Reply(451, "4.7.8", f"{self.host} refused the login: {reply.text}"))

    # Replies --------------------------------------------------------------------------------------------------------

    async def _reply(self, seconds: float) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    line = await self._reader.readline()
                    if not line.endswith(b"\n"):
                        raise ConnectionResetError
                    reply = self._parser.line(line)
                    if reply is not None:
                        break
        except TimeoutError as problem:
            self.abort()
            raise ClientProblem(Reply(451, "4.4.2", f"{self.host} did not answer in time")) from problem
        except (OSError, ValueError) as problem:
            self.abort()
            words = "said what is no SMTP" if isinstance(problem, SyntaxProblem) else "closed the connection"
            raise ClientProblem(Reply(451, "4.4.2", f"{self.host} {words}")) from problem
        if reply.code == 421:
            # RFC 5321 3.8: the host closes the connection, whatever it was asked.
            self.abort()
            raise ClientProblem(reply)
        return reply

    def _send(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    async def command(self, line: str) -> Reply:
        self._send(line.encode() + b"\r\n")
        return await self._reply(self._timeouts.command)

    # Messages -------------------------------------------------------------------------------------------------------

    def refuses(self, envelope: Envelope, size: int, recipients: list[Recipient], utf8_header: bool) -> Reply | None:
        """Why this host can't take the message at all; None when it can."""
        limit = self.extensions.get("SIZE", "")
        if _SIZE.fullmatch(limit) and int(limit) and size > int(limit):
            return Reply(552, "5.3.4", f"{self.host} takes messages of up to {limit} octets")
        if envelope.tls is TlsWish.REQUIRED and "REQUIRETLS" not in self.extensions:
            return Reply(550, "5.7.30", f"{self.host} does not support REQUIRETLS, which the message asks for")
        addresses = [recipient.address for recipient in recipients] + ([envelope.sender] if envelope.sender else [])
        if "SMTPUTF8" not in self.extensions and (utf8_header or any(one.needs_smtputf8 for one in addresses)):
            return Reply(550, "5.6.7", f"{self.host} can't take addresses or headers in UTF-8")
        return None

    def _mail(self, envelope: Envelope, size: int, eight_bit: bool, utf8: bool) -> str:
        line = f"MAIL FROM:<{envelope.sender if envelope.sender is not None else ''}>"
        if "SIZE" in self.extensions:
            line += f" SIZE={size}"
        if eight_bit and "8BITMIME" in self.extensions:
            line += " BODY=8BITMIME"
        if utf8:
            line += " SMTPUTF8"
        if envelope.tls is TlsWish.REQUIRED:
            line += " REQUIRETLS"
        if "DSN" in self.extensions:
            if envelope.ret is not None:
                line += f" RET={envelope.ret.value}"
            if envelope.envelope_id:
                line += f" ENVID={encode_xtext(envelope.envelope_id)}"
        return line

    def _rcpt(self, recipient: Recipient) -> str:
        line = f"RCPT TO:<{recipient.address}>"
        if "DSN" in self.extensions:
            if recipient.notify is not None:
                words = ",".join(flag.name or "" for flag in Notify if flag in recipient.notify)
                line += f" NOTIFY={words}"
            if recipient.original:
                kind, _, address = recipient.original.partition(";")
                line += f" ORCPT={kind};{encode_xtext(address)}"
            elif recipient.notify is not None and not recipient.address.needs_smtputf8:
                line += f" ORCPT=rfc822;{encode_xtext(str(recipient.address))}"
        return line

    async def deliver(
        self,
        envelope: Envelope,
        recipients: list[Recipient],
        size: int,
        blocks: AsyncIterator[bytes],
        *,
        eight_bit: bool,
        utf8: bool,
    ) -> list[Outcome]:
        """One transaction; an outcome a recipient, in order. Raises ClientProblem when nothing is known."""
        self.used += 1
        mail = self._mail(envelope, size, eight_bit, utf8)
        rcpts = [self._rcpt(recipient) for recipient in recipients]
        pipelined = "PIPELINING" in self.extensions
        if pipelined:
            self._send("".join(f"{line}\r\n" for line in (mail, *rcpts, "DATA")).encode())
            sender = await self._reply(self._timeouts.command)
            try:
                replies = [await self._reply(self._timeouts.command) for _ in rcpts]
                data = await self._reply(self._timeouts.data_start)
            except ClientProblem:
                if sender.positive:
                    raise
                replies, data = [sender] * len(rcpts), sender  # it said no and hung up
        else:
            sender = await self.command(mail)
            replies = [await self.command(line) for line in rcpts] if sender.positive else [sender] * len(rcpts)
            data = Reply(503, "5.5.1", "no recipients")
            if sender.positive and any(reply.positive for reply in replies):
                self._send(b"DATA\r\n")
                data = await self._reply(self._timeouts.data_start)
        accepted = sender.positive and any(reply.positive for reply in replies)
        if data.code == 354 and not accepted:
            # RFC 2920 3.1: an empty message ends what the host should not have begun.
            self._send(b".\r\n")
            await self._reply(self._timeouts.data_end)
        if not accepted or data.code != 354:
            if not sender.positive:
                replies = [sender] * len(recipients)
            elif accepted:
                replies = [data if reply.positive else reply for reply in replies]
            await self._reset()
            return [Failed(_failure(reply), self.host, self.tls) for reply in replies]
        final = await self._data(blocks)
        confirms = "DSN" in self.extensions
        if not final.positive:
            replies = [final if reply.positive else reply for reply in replies]
        return [
            Delivered(final, self.host, confirms, tls=self.tls)
            if reply.positive
            else Failed(_failure(reply), self.host, self.tls)
            for reply in replies
        ]

    async def _data(self, blocks: AsyncIterator[bytes]) -> Reply:
        last = b"\r\n"
        waiting = b""  # the last block goes out together with the final dot
        assert self._writer is not None
        try:
            async for block in blocks:
                if waiting:
                    self._send(waiting)
                    async with asyncio.timeout(self._timeouts.data_block):
                        await self._writer.drain()
                waiting = block.replace(b"\n.", b"\n..")
                if block[:1] == b"." and last[-1:] == b"\n":
                    waiting = b"." + waiting
                last = (last + block)[-2:]
            self._writer.writelines((waiting, b".\r\n" if last == b"\r\n" else b"\r\n.\r\n"))
        except (OSError, TimeoutError) as problem:
            self.abort()
            raise ClientProblem(Reply(451, "4.4.2", f"{self.host} went away while it was sent the message")) from problem
        try:
            return await self._reply(self._timeouts.data_end)
        except ClientProblem as problem:
            # RFC 5321 4.5.3.2.6: silence after the final dot does not say whether the message was taken. 421 says it was not.
            problem.sent = problem.reply.code != 421
            raise

    async def _reset(self) -> None:
        """What was said of the message stays said when the connection ends here."""
        with contextlib.suppress(ClientProblem):
            if self.alive:
                await self.command("RSET")

    async def quit(self) -> None:
        """Part politely, without waiting long."""
        with contextlib.suppress(ClientProblem, OSError):
            self._send(b"QUIT\r\n")
            await self._reply(self._timeouts.quit)
        self.abort()

    def abort(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.close()


def _failure(reply: Reply) -> Reply:
    """A positive or strange reply where a failure was said to be."""
    return reply if reply.code >= 400 else Reply(451, "4.5.0", reply.text)
