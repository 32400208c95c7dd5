"""The doors: every server that listens, with what it is given."""

import asyncio
import ssl
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from socket import socket
from typing import Any

from mailstack.app.data import Data
from mailstack.app.seeing import Seeing
from mailstack.app.settings import Settings
from mailstack.app.surroundings import StartProblem
from mailstack.app.tls import Tls
from mailstack.app.unwanted import Unwanted
from mailstack.app.web import Web
from mailstack.control.connections import Connected, ConnectionOperations
from mailstack.control.server import ControlServer
from mailstack.control.standing import StandingOperations
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.events import Events
from mailstack.delivery.runner import QueueRunner
from mailstack.door.connection import DoorConnection
from mailstack.door.services import DoorServices
from mailstack.imap.connection import Connection as ImapConnection
from mailstack.imap.server import ImapServer
from mailstack.imap.session import ImapServices
from mailstack.managesieve.server import SieveServer
from mailstack.managesieve.session import SieveServices
from mailstack.net.proxied import port_of
from mailstack.policy.inbound import InboundPolicy
from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins
from mailstack.policy.submission import SubmissionPolicy
from mailstack.pop3.server import Pop3Server
from mailstack.smtp.protocol import SmtpServices
from mailstack.smtp.server import SmtpServer

STOP_SECONDS = 4.0
WEB_STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Behind:
    """What the doors lead to, from the floors below."""

    data: Data
    logins: Logins
    limits: Limits
    inbound: InboundPolicy
    submission: SubmissionPolicy
    acceptor: Acceptor
    runner: QueueRunner
    unwanted: Unwanted
    events: Events
    sieve_url: str | None
    tls: Tls | None
    seeing: Seeing
    ports: dict[str, list[int]]  # that are open


class Doors:
    """open(), then stop(); use() when settings change."""

    def __init__(self, behind: Behind, settings: Settings) -> None:
        data = behind.data
        certificates = behind.tls.certificates if behind.tls is not None else None
        # Other hosts are never asked for a certificate: many have one that nobody here knows.
        hosts = certificates.context if certificates is not None else None
        self._https = certificates.web if certificates is not None else None
        tls = self._tls = certificates.people if certificates is not None else None
        self._shared: dict[str, Any] = {
            "hostname": data.config.hostname,
            "limits": behind.limits,
            "trace": data.trace,
            "allow_plaintext": settings.allow_plaintext,
            "randomness": data.surroundings.randomness,
            "clock": data.surroundings.clock,
        }
        self.smtp = {
            "smtp": self._smtp_server(behind, settings, behind.inbound, None, hosts),
            "submission": self._smtp_server(behind, settings, behind.submission, behind.logins, tls),
            "submissions": self._smtp_server(behind, settings, behind.submission, behind.logins, None),
        }
        self.imap = ImapServer(
            ImapServices(
                **self._shared,
                mailboxes=data.mailboxes,
                directory=data.directory,
                sharing=data.sharing,
                logins=behind.logins,
                spool=data.path / "spool",
                message_size=settings.message_size,
                message_limit=settings.imap_messages,
                copy_limit=settings.imap_copies,
                progress_seconds=settings.imap_progress,
                tls=tls,
                postmaster=settings.postmaster,
                urlauth=settings.urlauth,
                learner=behind.unwanted.learner,
                events=behind.events,
                sieve_url=behind.sieve_url,
            )
        )
        self.pop3 = Pop3Server(
            DoorServices(**self._shared, mailboxes=data.mailboxes, directory=data.directory, logins=behind.logins, tls=tls)
        )
        self.managesieve = SieveServer(
            SieveServices(
                **self._shared,
                scripts=data.scripts,
                mailboxes=data.mailboxes,
                directory=data.directory,
                logins=behind.logins,
                tls=tls,
            )
        )
        self.ready = False
        operations = data.operations(behind.runner)
        operations |= ConnectionOperations(self._connected).table()
        operations |= StandingOperations(data.config.hostname, lambda: behind.ports).table()
        operations |= behind.tls.operations() if behind.tls is not None else {}
        self._web = Web(behind, settings, operations, certificates, lambda: self.ready)
        self._control = ControlServer(data.path / "control.sock", operations)
        for smtp in self.smtp.values():
            data.directory.on_revoked.append(smtp.end_sessions)
        data.directory.on_revoked += [server.end_sessions for server in (self.imap, self.pop3, self.managesieve)]

    def _connected(self) -> Iterator[Connected]:
        for name, smtp in self.smtp.items():
            for one in smtp.connections:
                account = one.account.address if one.account is not None else None
                yield Connected(
                    name, one.peer, port_of(one.transport, one.ends) if one.transport is not None else None, account
                )
        yield from _of("imap", self.imap.connections)
        yield from _of("pop3", self.pop3.connections)
        yield from _of("managesieve", self.managesieve.connections)

    def _smtp_server(
        self,
        behind: Behind,
        settings: Settings,
        policy: InboundPolicy | SubmissionPolicy,
        logins: Logins | None,
        tls: ssl.SSLContext | None,
    ) -> SmtpServer:
        """`tls`: for STARTTLS; None also where TLS is there from the first byte on."""
        return SmtpServer(
            SmtpServices(
                **self._shared,
                policy=policy,
                acceptor=behind.acceptor,
                spool=behind.data.path / "spool",
                message_size=settings.message_size,
                tls=tls,
                logins=logins,
                rejects=behind.unwanted.rejects,
            )
        )

    async def open(self, sockets: Mapping[str, Sequence[socket]]) -> None:
        """Listen. Raises StartProblem when the control socket can't be made."""
        tls = self._tls
        for name, server in self.smtp.items():
            await server.listen(sockets[name], tls if name == "submissions" else None)
        await self.imap.listen(sockets["imap"], None)
        await self.pop3.listen(sockets["pop3"], None)
        await self.managesieve.listen(sockets["managesieve"])
        if tls is not None:
            await self.imap.listen(sockets["imaps"], tls)
            await self.pop3.listen(sockets["pop3s"], tls)
        await self._web.listen(sockets, self._https)
        try:
            await self._control.start()
        except OSError as problem:
            raise StartProblem(f"data_dir: control.sock: {problem.strerror or problem}") from problem
        self.ready = True

    def use(self, settings: Settings) -> None:
        """A connection keeps the settings it was greeted with: they are what it was told."""
        plain, size = settings.allow_plaintext, settings.message_size
        self._web.use(settings)
        for server in self.smtp.values():
            server.services = replace(server.services, message_size=size, allow_plaintext=plain)
        self.imap.services = replace(
            self.imap.services,
            message_size=size,
            allow_plaintext=plain,
            postmaster=settings.postmaster,
            urlauth=settings.urlauth,
        )
        self.pop3.services = replace(self.pop3.services, allow_plaintext=plain)
        self.managesieve.services = replace(self.managesieve.services, allow_plaintext=plain)

    async def stop(self) -> None:
        """Answer what is under way."""
        self.ready = False
        if self.imap.services.events is not None:
            self.imap.services.events.stop()
        stops: list[Awaitable[None]] = [self._control.stop(STOP_SECONDS)]
        stops += [server.stop() for server in (self.imap, self.pop3, self.managesieve)]
        await asyncio.gather(*stops, *(server.stop(STOP_SECONDS) for server in self.smtp.values()))
        # Last: until then it says that this server stops.
        await self._web.stop(WEB_STOP_SECONDS)


def _of(door: str, connections: Iterable[DoorConnection | ImapConnection]) -> Iterator[Connected]:
    for one in connections:
        yield Connected(door, one.peer, port_of(one.transport, one.ends), one.account)
