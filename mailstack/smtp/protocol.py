"""One SMTP connection. aiosmtpd is the base class and no more: its stream protocol is used, its commands are not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from mailstack.delivery.accept import Acceptor
from mailstack.delivery.rejects import Rejects
from mailstack.log import get_logger
from mailstack.net.proxied import peer_of
from mailstack.net.tls import TlsEnd
from mailstack.policy.inbound import InboundPolicy
from mailstack.policy.limits import Limits
from mailstack.policy.login import Channel, Login, Logins, is_loopback
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.transaction import Transaction
from mailstack.smtp.data import Receiver
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord
from mailstack.store.users.scope import Protocol
from mailstack.wire.proxy import Ends
from mailstack.wire.smtp import Reply

if TYPE_CHECKING:
    from mailstack.smtp.server import SmtpServer

log = get_logger()
LINE_LIMIT = 4096
LOGIN_LINE_LIMIT = 12288  # RFC 4954 4: a token in base64
BUFFER = 128 * 1024
FLUSH_AT = 65536
COMMAND_SECONDS = 300.0
DATA_SECONDS = 180.0
LINGER_SECONDS = 10.0
PARTING_SECONDS = 2.0
BAD_LIMIT = 10
REFUSED_LIMIT = 100
COMMANDS_AT_ONCE = 32  # between two looks at the other clients


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
    logins: Logins | None  # None: a door without login
    allow_plaintext: bool
    randomness: random.Random
    clock: Callable[[], float] = time.time
    command_seconds: float = COMMAND_SECONDS
    data_seconds: float = DATA_SECONDS
    rejects: Rejects | None = None  # where copies of what is refused by doubt are kept


@dataclass(frozen=True, slots=True)
class Handler:
    """What runs a command, and the keyword that EHLO shows for it while it is possible."""

    run: Callable[[SmtpConnection, str], Awaitable[None]]
    keyword: str | Callable[[SmtpConnection], str] | None = None
    possible: Callable[[SmtpConnection], bool] = lambda _: True


class _NoHandler:
    """aiosmtpd wants a handler object; nothing is asked of it."""


class SmtpConnection(SMTP):
    """The commands are in `handlers`; a reply is a value that is sent once the client has to wait for it."""

    def __init__(self, services: SmtpServices, server: SmtpServer, handlers: dict[str, Handler], *, secure: bool) -> None:
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
        self.handlers = handlers
        self.secure = secure
        self.peer = ""
        self.ends: Ends | None = None  # where a proxy said so
        self.helo: str | None = None
        self.extended = False
        self.account: AccountRecord | None = None
        self.mechanism: str | None = None  # by which it logged in
        self.transaction: Transaction | None = None
        self.receiver: Receiver | None = None  # of BDAT chunks
        self.bad = 0
        self.refused = 0
        self.counted = False
        self.busy = False
        self.shaking = False  # hands, for TLS
        self.leaving = False
        self._tls: TlsEnd | None = None  # until the login
        self._out: list[bytes] = []

    # The base class's moments ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = peer_of(transport, self.ends)
        self._tls = TlsEnd.of(transport)

    def connection_lost(self, error: Exception | None) -> None:
        # What the client was not told yet is finished all the same: the task is not cancelled.
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self._leave()

    def _leave(self) -> None:
        """It counts no more."""
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
            self.write(f"220 {self.services.hostname} ESMTP mailstack\r\n".encode())
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
            self.forget()
            self.close()

    # Reading and writing --------------------------------------------------------------------------------------------

    def say(self, reply: Reply) -> None:
        """A reply, sent together with others when the client waits."""
        self._out.append(reply.render())

    def write(self, data: bytes) -> None:
        """What is no Reply, sent in the same way."""
        self._out.append(data)

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

    async def read_line(self, limit: int = LINE_LIMIT) -> bytes | None:
        """A command line without its end; None when it was too long."""
        line = self._line_at_hand()
        try:
            if line is None:
                await self.flush()
                async with asyncio.timeout(self.services.command_seconds):
                    line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self.say(Reply(421, "5.5.2", "Line too long"))
            raise ConnectionResetError from None
        limit = LOGIN_LINE_LIMIT if line[:5].upper() == b"AUTH " else limit
        return line.rstrip(b"\r\n") if len(line) <= limit else None

    async def cut_off(self, reply: Reply) -> None:
        """Answer in the middle of what never ends, and leave. What is on its way is let come for a moment: octets that nobody
        read when the connection closes would take the answer with them (RFC 1122 4.2.2.13)."""
        self.say(reply)
        self.leaving = True
        await self.flush()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(PARTING_SECONDS):
                while await self._reader.read(BUFFER):
                    pass

    def _line_at_hand(self) -> bytes | None:
        """A line that is here already needs no clock."""
        buffer = self._reader._buffer  # type: ignore[attr-defined]
        end = buffer.find(b"\n", 0, LOGIN_LINE_LIMIT)
        if end < 0:
            return None
        line = bytes(buffer[: end + 1])
        del buffer[: end + 1]
        self._reader._maybe_resume_transport()  # type: ignore[attr-defined]
        return line

    async def read_block(self, limit: int) -> bytes:
        """Octets of a message, as many as there are. Raises ConnectionResetError when there will be none."""
        if self.more_waits():
            block = await self._reader.read(limit)  # at once
        else:
            async with asyncio.timeout(self.services.data_seconds):
                block = await self._reader.read(limit)
        if not block:
            raise ConnectionResetError
        return block

    def put_back(self, data: bytes) -> None:
        """Octets that are read again, first of all."""
        self._reader._buffer[:0] = data  # type: ignore[attr-defined]

    def more_waits(self) -> bool:
        """Whether the client has sent more than was read."""
        return bool(self._reader._buffer)  # type: ignore[attr-defined]

    def abort(self) -> None:
        self._writer.transport.abort()

    def tls_name(self) -> str | None:
        """TLS's version and cipher."""
        cipher = self._writer.get_extra_info("cipher") if self.secure else None
        return f"{self._writer.get_extra_info('ssl_object').version()} {cipher[0]}" if cipher else None

    async def encrypt(self, context: ssl.SSLContext) -> None:
        """Answer, and TLS from here on. Raises ConnectionResetError when the handshake fails, or was not waited for."""
        self._nothing_waits()
        await self.flush()
        await self._writer.drain()
        self._nothing_waits()  # a client that reads slowly had the time to send more
        transport = await self._shake(context)
        if transport is None:
            self.abort()
            self._leave()  # a connection that is lost during the handshake is not told so
            raise ConnectionResetError
        self.transport = transport
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._reader._transport = transport  # type: ignore[attr-defined]
        self._over_ssl = True
        self.secure = True
        self._tls = TlsEnd.of(transport)

    def _nothing_waits(self) -> None:
        """RFC 3207 4.2, RFC 5321 4.1.4: what was sent before the handshake is nobody's word."""
        if self.more_waits():
            log.warning("smtp.starttls_injection", peer=self.peer)
            self._out = []
            self.abort()
            raise ConnectionResetError

    async def _shake(self, context: ssl.SSLContext) -> asyncio.Transport | None:
        self.shaking, loop = True, asyncio.get_running_loop()
        try:
            return await loop.start_tls(self._writer.transport, self, context, server_side=True, ssl_handshake_timeout=30)
        except (OSError, ssl.SSLError) as problem:
            log.info("smtp.tls_failed", peer=self.peer, problem=str(problem)[:200])
            return None
        finally:
            self.shaking = False

    def channel(self) -> Channel:
        """What a login may know of this connection."""
        private = self.secure or (self.services.allow_plaintext and is_loopback(self.peer))
        bindings = self._tls.bindings() if self._tls is not None else {}
        certificate = self._tls.certificate() if self._tls is not None else None
        return Channel(self.peer, private, Protocol.SMTP, self.helo or "", certificate, bindings)

    # The conversation -----------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        steps = 0
        while not self.leaving:
            steps += 1
            if steps % COMMANDS_AT_ONCE == 0:
                await self.flush()
                await asyncio.sleep(0)
            self.busy = False
            line = await self.read_line()
            self.busy = True
            if line is None:
                self.complain(Reply(500, "5.5.2", "Line too long"))
                continue
            verb, _, argument = line.partition(b" ")
            name = verb.upper().decode("ascii", "replace")
            handler = self.handlers.get(name)
            if handler is None:
                self.complain(Reply(500, "5.5.1", "Command not known"))
                continue
            try:
                text = argument.strip().decode("utf-8")
            except UnicodeDecodeError:
                self.complain(Reply(501, "5.5.2", "Not UTF-8"))
                continue
            await handler.run(self, text)
        await self.flush()

    def complain(self, reply: Reply) -> None:
        """A reply to what should not have come; too many of them end the connection."""
        self.bad += 1
        if self.bad > BAD_LIMIT:
            self.say(Reply(421, "4.7.0", "Too many bad commands"))
            self.leaving = True
            return
        self.say(reply)

    def refuse(self, transaction: Transaction, reply: Reply, reason: str, to: str | None = None) -> None:
        """Say no, and write it down. `to`: whom it is about; without, all who were named so far."""
        self.note_refused(transaction, reply, reason, to)
        # Many refused recipients are an old list, or somebody who guesses names; they do not count as bad commands.
        self.refused += reply.code in (550, 553)
        if self.refused > REFUSED_LIMIT:
            self.say(Reply(421, "4.7.0", "Too many refused addresses"))
            self.leaving = True
            return
        self.say(reply)

    def note_refused(self, transaction: Transaction, reply: Reply, reason: str, to: str | None = None) -> None:
        """For log and trace."""
        sender = str(transaction.sender) if transaction.sender else None
        log.info("smtp.refused", id=transaction.id, peer=self.peer, sender=sender, to=to, reason=reason, reply=str(reply))
        account = transaction.account.address if transaction.account else None
        self.services.trace.record(
            transaction.id,
            "refused",
            sender=sender,
            to=to or [str(recipient.address) for recipient, _ in transaction.recipients],
            peer=self.peer,
            account=account,
            reason=reason,
            reply=str(reply),
        )

    def forget(self) -> None:
        self.transaction = None
        if self.receiver is not None:
            self.receiver.content.close()
            self.receiver = None

    def logged_in(self, login: Login) -> None:
        """Whoever logs in counts no more among those who did not."""
        account = self.account = login.account
        self.mechanism = login.mechanism
        self._tls = None
        if self.counted:
            self.counted = False
            self.services.limits.disconnected(self.peer)
        self.server.logged_in(self, account.address)
