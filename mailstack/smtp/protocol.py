"""One SMTP connection. aiosmtpd is the base class and no more: its stream protocol is used, its commands are not."""

import asyncio
import base64
import binascii
import contextlib
import ipaddress
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from mailstack.delivery.accept import Acceptor
from mailstack.log import get_logger
from mailstack.message.envelope import Recipient, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import remove_fields, split_header
from mailstack.message.trace import received_field
from mailstack.policy.inbound import HEADER_LIMIT, InboundPolicy
from mailstack.policy.limits import Limits
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept
from mailstack.smtp.data import DataReader, Receiver
from mailstack.store.content import BLOCK, Content
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord
from mailstack.store.users.passwords import PasswordChecker, Refusal
from mailstack.wire.smtp import Reply, UnknownParameter, parse_mail_from, parse_rcpt_to

log = get_logger()
LINE_LIMIT = 4096
BUFFER = 128 * 1024
DISK_FULL = Reply(452, "4.3.1", "The server's disk is full; try again later")
FLUSH_AT = 65536
COMMAND_SECONDS = 300.0
DATA_SECONDS = 180.0
LINGER_SECONDS = 10.0
BAD_LIMIT = 10
REFUSED_LIMIT = 100


@dataclass(frozen=True, slots=True)
class SmtpServices:
    """What a listener's connections need from the floors below."""

    hostname: str
    policy: InboundPolicy | SubmissionPolicy
    acceptor: Acceptor
    limits: Limits
    trace: Trace
    spool: Path
    message_size: int
    tls: ssl.SSLContext | None
    passwords: PasswordChecker | None  # None: a door without login
    allow_plaintext: bool
    randomness: random.Random
    clock: Callable[[], float] = time.time
    command_seconds: float = COMMAND_SECONDS
    data_seconds: float = DATA_SECONDS


class _NoHandler:
    """aiosmtpd wants a handler object; nothing is asked of it."""


class SmtpConnection(SMTP):
    """The commands are in HANDLERS; a reply is a value that is sent once the client has to wait for it."""

    def __init__(self, services: SmtpServices, server: Any, *, secure: bool) -> None:
        super().__init__(
            _NoHandler(),
            hostname=services.hostname,
            ident="ESMTP",
            enable_SMTPUTF8=True,
            timeout=int(COMMAND_SECONDS),
            loop=asyncio.get_running_loop(),
        )
        self._stream_reader._limit = BUFFER  # type: ignore[attr-defined]
        self.services = services
        self.server = server
        self.secure = secure
        self.peer = ""
        self.helo: str | None = None
        self.extended = False
        self.account: AccountRecord | None = None
        self.transaction: Transaction | None = None
        self.receiver: Receiver | None = None  # of BDAT chunks
        self.bad = 0
        self.refused = 0
        self.counted = False
        self.busy = False
        self.leaving = False
        self._out: list[bytes] = []
        self._serving: asyncio.Task[None] | None = None

    # The base class's moments ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        # A listener for both families shows IPv4 as ::ffff:192.0.2.1.
        self.peer = str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) else "local"

    def connection_lost(self, error: Exception | None) -> None:
        # What the client was not told yet is finished all the same: the task is not cancelled.
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        if self.counted:
            self.counted = False
            self.services.limits.disconnected(self.peer)
        self.server.left(self)

    def eof_received(self) -> bool | None:
        return asyncio.StreamReaderProtocol.eof_received(self) if not self.secure else False

    def _timeout_cb(self) -> None:
        """Time is kept around each read here, not by the base class."""

    async def _handle_client(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        crowd = self.server.admit(self)
        if crowd is not None:
            self.say(Reply(421, "4.7.0", f"{crowd}; try again later"))
            self.close()
            return
        self.counted = True
        try:
            self._out.append(f"220 {self.services.hostname} ESMTP mailstack\r\n".encode())
            await self._converse()
        except TimeoutError:
            log.info("smtp.timed_out", peer=self.peer, account=self.account.address if self.account else None)
            self.say(Reply(421, "4.4.2", f"{self.services.hostname} waited too long"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception:
            log.exception("smtp.connection_failed", peer=self.peer)
            self.say(Reply(421, "4.3.0", "Something went wrong on the server; try again later"))
        finally:
            self._forget()
            self.close()

    # Reading and writing --------------------------------------------------------------------------------------------

    def say(self, reply: Reply) -> None:
        """A reply, sent together with others when the client waits."""
        self._out.append(reply.render())

    async def flush(self) -> None:
        if self._out:
            self._writer.write(b"".join(self._out))
            self._out = []
            if self._writer.transport.get_write_buffer_size() > FLUSH_AT:
                async with asyncio.timeout(self.services.command_seconds):
                    await self._writer.drain()

    def close(self) -> None:
        if self._out:
            with contextlib.suppress(RuntimeError):
                self._writer.write(b"".join(self._out))
            self._out = []
        transport = self._writer.transport
        waits = not transport.is_closing() and transport.get_write_buffer_size() > 0
        self._writer.close()
        if waits:
            # Its client may never read: the last words wait for it, but not for ever.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    async def _line(self) -> bytes | None:
        """A command line without its end; None when it was too long."""
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
            await self.flush()
        try:
            async with asyncio.timeout(self.services.command_seconds):
                line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self.say(Reply(421, "5.5.2", "Line too long"))
            raise ConnectionResetError from None
        return line.rstrip(b"\r\n") if len(line) <= LINE_LIMIT else None

    async def _converse(self) -> None:
        while not self.leaving:
            self.busy = False
            line = await self._line()
            self.busy = True
            if line is None:
                self._complain(Reply(500, "5.5.2", "Line too long"))
                continue
            verb, _, argument = line.partition(b" ")
            name = verb.upper().decode("ascii", "replace")
            handler = HANDLERS.get(name)
            if handler is None:
                self._complain(Reply(500, "5.5.1", "Command not known"))
                continue
            try:
                text = argument.strip().decode("utf-8")
            except UnicodeDecodeError:
                self._complain(Reply(501, "5.5.2", "Not UTF-8"))
                continue
            await handler(self, text)
        await self.flush()

    def _complain(self, reply: Reply) -> None:
        """A reply to what should not have come; too many of them end the connection."""
        self.bad += 1
        if self.bad > BAD_LIMIT:
            self.say(Reply(421, "4.7.0", "Too many bad commands"))
            self.leaving = True
            return
        self.say(reply)

    def _forget(self) -> None:
        self.transaction = None
        if self.receiver is not None:
            self.receiver.content.close()
            self.receiver = None

    # Commands -------------------------------------------------------------------------------------------------------

    @property
    def _may_log_in(self) -> bool:
        services = self.services
        if services.passwords is None or self.account is not None:
            return False
        return self.secure or (services.allow_plaintext and _is_loopback(self.peer))

    def keywords(self) -> list[str]:
        """EHLO's lines, as far as they hold now."""
        found = ["PIPELINING", f"SIZE {self.services.message_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"]
        if "BDAT" in HANDLERS:
            found.append("CHUNKING")
        if self.services.tls is not None and not self.secure:
            found.append("STARTTLS")
        if self._may_log_in:
            found.append("AUTH PLAIN LOGIN")
        return found

    async def ehlo(self, argument: str) -> None:
        if not argument:
            self._complain(Reply(501, "5.5.4", "EHLO needs a name"))
            return
        self._forget()
        self.helo, self.extended = argument[:255], True
        lines = [self.services.hostname, *self.keywords()]
        text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
        self._out.append(text.encode())

    async def helo_(self, argument: str) -> None:
        if not argument:
            self._complain(Reply(501, "5.5.4", "HELO needs a name"))
            return
        self._forget()
        self.helo, self.extended = argument[:255], False
        self._out.append(f"250 {self.services.hostname}\r\n".encode())

    async def noop(self, _: str) -> None:
        self.say(Reply(250, "2.0.0", "Ok"))

    async def reset(self, _: str) -> None:
        self._forget()
        self.say(Reply(250, "2.0.0", "Ok"))

    async def quit(self, _: str) -> None:
        self.say(Reply(221, "2.0.0", "Bye"))
        self.leaving = True

    async def verify(self, _: str) -> None:
        self.say(Reply(252, "2.0.0", "Send some mail, and see"))

    async def expand(self, _: str) -> None:
        self.say(Reply(502, "5.5.1", "Not done here"))

    async def help(self, _: str) -> None:
        self.say(Reply(214, "2.0.0", "Commands: " + " ".join(HANDLERS)))

    async def start_tls(self, argument: str) -> None:
        context = self.services.tls
        if argument:
            self._complain(Reply(501, "5.5.4", "STARTTLS takes no argument"))
            return
        if context is None or self.secure:
            self._complain(Reply(503, "5.5.1", "STARTTLS is not possible now"))
            return
        if self._reader._buffer:  # type: ignore[attr-defined]
            # RFC 3207 4.2, RFC 5321 4.1.4: what was sent before the handshake is nobody's word.
            log.warning("smtp.starttls_injection", peer=self.peer)
            self._writer.transport.abort()
            raise ConnectionResetError
        self.say(Reply(220, "2.0.0", "Begin TLS now"))
        await self.flush()
        await self._writer.drain()
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self._writer.transport, self, context, server_side=True, ssl_handshake_timeout=30)
        except (OSError, ssl.SSLError) as problem:
            log.info("smtp.tls_failed", peer=self.peer, problem=str(problem)[:200])
            raise ConnectionResetError from None
        assert transport is not None
        self.transport = transport
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._reader._transport = transport  # type: ignore[attr-defined]
        self._over_ssl = True
        self.secure = True
        self.helo, self.extended, self.account = None, False, None
        self._forget()

    async def auth(self, argument: str) -> None:
        """RFC 4954."""
        services = self.services
        passwords = services.passwords
        if passwords is None:
            self._complain(Reply(502, "5.5.1", "There is no login at this port"))
            return
        if self.account is not None or self.transaction is not None or not self.extended:
            self._complain(Reply(503, "5.5.1", "Not now"))
            return
        if not self._may_log_in:
            self._complain(Reply(538, "5.7.11", "Start TLS first"))
            return
        mechanism, _, initial = argument.partition(" ")
        try:
            credentials = await self._credentials(mechanism.upper(), initial)
        except (binascii.Error, ValueError):
            self._complain(Reply(501, "5.5.2", "Not base64, or not what the mechanism says"))
            return
        if credentials is None:
            return
        login, password = credentials
        await services.limits.wait_turn(self.peer, login)
        found = await passwords.verify(login, password)
        if isinstance(found, Refusal):
            if found is Refusal.BUSY:
                self.say(Reply(454, "4.7.0", "The server is busy; try again"))
                return
            services.limits.failed(self.peer, login)
            log.warning("smtp.login_failed", user=login[:100], peer=self.peer)
            self._complain(Reply(535, "5.7.8", "Wrong user name or password"))
            return
        services.limits.succeeded(self.peer, login)
        self.account = found
        if self.counted:
            self.counted = False
            services.limits.disconnected(self.peer)
        self.server.logged_in(self, found.address)
        log.info("smtp.login", account=found.address, peer=self.peer, tls=self.secure)
        self.say(Reply(235, "2.7.0", "Logged in"))

    async def _credentials(self, mechanism: str, initial: str) -> tuple[str, str] | None:
        if mechanism == "PLAIN":
            data = initial if initial and initial != "=" else await self._challenge(b"")
            if data == "*":
                self._complain(Reply(501, "5.7.0", "Cancelled"))
                return None
            identity, user, password = base64.b64decode(data, validate=True).decode("utf-8").split("\0")
            if identity and identity.lower() != user.lower():
                self._complain(Reply(535, "5.7.8", "Acting for others is not possible"))
                return None
            return user, password
        if mechanism == "LOGIN":
            answers = [initial] if initial else [await self._challenge(b"VXNlcm5hbWU6")]
            if answers[0] != "*":
                answers.append(await self._challenge(b"UGFzc3dvcmQ6"))
            if "*" in answers:
                self._complain(Reply(501, "5.7.0", "Cancelled"))
                return None
            user, password = (base64.b64decode(one, validate=True).decode("utf-8") for one in answers)
            return user, password
        self._complain(Reply(504, "5.5.4", "That mechanism is not known"))
        return None

    async def _challenge(self, data: bytes) -> str:
        self._out.append(b"334 " + data + b"\r\n")
        line = await self._line()
        if line is None:
            raise ValueError("line too long")
        return line.decode("ascii")

    def _protocol(self) -> str:
        if not self.extended:
            return "SMTP"
        kind = "UTF8SMTP" if self.transaction and self.transaction.parameters.smtputf8 else "ESMTP"
        return kind + ("S" if self.secure else "") + ("A" if self.account else "")

    async def mail(self, argument: str) -> None:
        if self.helo is None:
            self._complain(Reply(503, "5.5.1", "Say EHLO first"))
            return
        if self.services.passwords is not None and self.account is None:
            self._complain(Reply(530, "5.7.0", "Log in first"))
            return
        if self.transaction is not None:
            self._complain(Reply(503, "5.5.1", "A message is under way already"))
            return
        if argument[:5].upper() != "FROM:":
            self._complain(Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>"))
            return
        try:
            sender, parameters = parse_mail_from(argument[5:].lstrip())
        except UnknownParameter as problem:
            self._complain(Reply(555, "5.5.4", problem.reason))
            return
        except SyntaxProblem as problem:
            self._complain(Reply(501, "5.1.7", problem.reason))
            return
        if parameters.size is not None and parameters.size > self.services.message_size:
            self.say(Reply(552, "5.3.4", f"Messages may have up to {self.services.message_size} octets"))
            return
        now = self.services.clock()
        cipher = self._writer.get_extra_info("cipher") if self.secure else None
        version = self._writer.get_extra_info("ssl_object").version() if cipher else None
        transaction = Transaction(
            id=new_id(now, self.services.randomness),
            peer=self.peer,
            helo=self.helo,
            protocol="",
            tls=f"{version} {cipher[0]}" if cipher else None,
            account=self.account,
            received=now,
            sender=sender,
            parameters=parameters,
        )
        verdict = await self.services.policy.sender(transaction)
        if not isinstance(verdict, Accept):
            self._refuse(transaction, verdict.reply, verdict.reason)
            return
        self.transaction = transaction
        transaction.protocol = self._protocol()
        self.say(Reply(250, "2.1.0", "Ok"))

    def _refuse(self, transaction: Transaction, reply: Reply, reason: str, to: str | None = None) -> None:
        sender = str(transaction.sender) if transaction.sender else None
        log.info("smtp.refused", id=transaction.id, peer=self.peer, sender=sender, to=to, reason=reason, reply=str(reply))
        self.services.trace.record(transaction.id, "refused", sender=sender, to=to, reason=reason, reply=str(reply))
        # Many refused recipients are an old list, or somebody who guesses names; they do not count as bad commands.
        self.refused += reply.code in (550, 553)
        if self.refused > REFUSED_LIMIT:
            self.say(Reply(421, "4.7.0", "Too many refused addresses"))
            self.leaving = True
            return
        self.say(reply)

    async def rcpt(self, argument: str) -> None:
        transaction = self.transaction
        if transaction is None or self.receiver is not None:
            self._complain(Reply(503, "5.5.1", "Say MAIL first"))
            return
        if argument[:3].upper() != "TO:":
            self._complain(Reply(501, "5.5.4", "Syntax: RCPT TO:<address>"))
            return
        try:
            address, parameters = parse_rcpt_to(argument[3:].lstrip(), smtputf8=transaction.parameters.smtputf8)
        except UnknownParameter as problem:
            self._complain(Reply(555, "5.5.4", problem.reason))
            return
        except SyntaxProblem as problem:
            self._complain(Reply(501, "5.1.3", problem.reason))
            return
        verdict, routes = await self.services.policy.recipient(transaction, address)
        if not isinstance(verdict, Accept):
            self._refuse(transaction, verdict.reply, verdict.reason, str(address))
            return
        transaction.recipients.append((Recipient(address, parameters.notify, parameters.original), routes))
        self.say(Reply(250, "2.1.5", "Ok"))

    def _new_receiver(self) -> Receiver:
        mend = self.services.passwords is not None
        return Receiver(Content(self.services.spool), self.services.message_size, mend=mend)

    async def data(self, argument: str) -> None:
        if argument:
            self._complain(Reply(501, "5.5.4", "DATA takes no argument"))
            return
        if self.transaction is None or not self.transaction.recipients or self.receiver is not None:
            self._complain(Reply(503, "5.5.1", "No recipients"))
            return
        self.say(Reply(354, None, "End with a dot on a line of its own"))
        await self.flush()
        receiver = self._new_receiver()
        reader = DataReader()
        try:
            while not reader.finished:
                async with asyncio.timeout(self.services.data_seconds):
                    block = await self._reader.read(BLOCK)
                if not block:
                    raise ConnectionResetError
                receiver.take(reader.feed(block))
        except BaseException:
            receiver.content.close()
            raise
        if reader.rest:
            self._reader._buffer[:0] = reader.rest  # type: ignore[attr-defined]
        await self._received(receiver)

    async def bdat(self, argument: str) -> None:
        """RFC 3030 2."""
        size, _, last = argument.partition(" ")
        if not (size.isascii() and size.isdigit() and len(size) < 16) or last.upper() not in ("", "LAST"):
            self._complain(Reply(501, "5.5.4", "Syntax: BDAT size [LAST]"))
            # Without a size the stream can't be followed any further.
            self.leaving = True
            return
        usable = self.transaction is not None and bool(self.transaction.recipients)
        if usable and self.receiver is None:
            self.receiver = self._new_receiver()
        left = int(size)
        await self.flush()
        while left:
            async with asyncio.timeout(self.services.data_seconds):
                block = await self._reader.read(min(BLOCK, left))
            if not block:
                raise ConnectionResetError
            left -= len(block)
            if usable and self.receiver is not None:
                self.receiver.take(block)
        if not usable or self.receiver is None:
            self._complain(Reply(503, "5.5.1", "No recipients"))
            return
        if not last:
            if self.receiver.full:
                self.say(Reply(552, "5.3.4", "The message is too large"))
                self._forget()
                return
            self.say(Reply(250, "2.0.0", f"{size} octets received"))
            return
        receiver, self.receiver = self.receiver, None
        await self._received(receiver)

    async def _received(self, receiver: Receiver) -> None:
        """A whole message is here: judge it, take it over, answer."""
        transaction, self.transaction = self.transaction, None
        assert transaction is not None
        content = receiver.content
        try:
            receiver.finish()
            if receiver.full:
                self.say(Reply(552, "5.3.4", f"Messages may have up to {self.services.message_size} octets"))
            elif receiver.problem is not None:
                log.error("smtp.spool_failed", problem=str(receiver.problem))
                self.say(DISK_FULL)
            elif receiver.bare:
                self._refuse(transaction, Reply(550, "5.6.11", "Bare CR, bare LF or NUL in the message"), "bare")
            else:
                self.say(await self._judge(transaction, content))
        finally:
            content.close()

    async def _judge(self, transaction: Transaction, content: Content) -> Reply:
        services = self.services
        started = time.perf_counter()
        verdict = await services.policy.body(transaction, content)
        if not isinstance(verdict, Accept):
            sender = str(transaction.sender) if transaction.sender else None
            log.info("smtp.refused", id=transaction.id, peer=self.peer, sender=sender, reason=verdict.reason)
            services.trace.record(transaction.id, "refused", sender=sender, reason=verdict.reason, reply=str(verdict.reply))
            return verdict.reply
        one = transaction.recipients[0][0].address if len(transaction.recipients) == 1 else None
        trace = received_field(
            helo=transaction.helo,
            peer=transaction.peer,
            peer_name=None,
            host=services.hostname,
            protocol=transaction.protocol,
            id=transaction.id,
            moment=transaction.received,
            recipient=one,
            tls=transaction.tls,
            # Where people send from is nobody's business (RFC 6409 8 leaves it open).
            show_peer=transaction.account is None,
        )
        prefix = trace + verdict.prefix
        cleaned = content
        if verdict.without:
            loop = asyncio.get_running_loop()
            try:
                cleaned = await loop.run_in_executor(None, _without, content, verdict.without, services.spool)
            except OSError as problem:
                log.error("smtp.spool_failed", problem=str(problem))
                return DISK_FULL
        try:
            reply = await services.acceptor.accept(transaction, cleaned, prefix)
        finally:
            if cleaned is not content:
                cleaned.close()
        log.debug("smtp.judged", id=transaction.id, ms=round((time.perf_counter() - started) * 1000, 1), reply=str(reply))
        return reply


def _without(content: Content, names: frozenset[bytes], spool: Path) -> Content:
    """The message without some header fields; from a thread."""
    header, _ = split_header(content.head(HEADER_LIMIT))
    cleaned = Content(spool)
    try:
        cleaned.write(remove_fields(header, names))
        for block in content.chunks(start=len(header)):
            cleaned.write(block)
    except OSError:
        cleaned.close()
        raise
    return cleaned


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


HANDLERS: dict[str, Callable[[SmtpConnection, str], Awaitable[None]]] = {
    "EHLO": SmtpConnection.ehlo,
    "HELO": SmtpConnection.helo_,
    "MAIL": SmtpConnection.mail,
    "RCPT": SmtpConnection.rcpt,
    "DATA": SmtpConnection.data,
    "BDAT": SmtpConnection.bdat,
    "RSET": SmtpConnection.reset,
    "NOOP": SmtpConnection.noop,
    "QUIT": SmtpConnection.quit,
    "VRFY": SmtpConnection.verify,
    "EXPN": SmtpConnection.expand,
    "HELP": SmtpConnection.help,
    "STARTTLS": SmtpConnection.start_tls,
    "AUTH": SmtpConnection.auth,
}
