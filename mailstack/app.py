"""The composition root: everything is built here, floor by floor, and nowhere else."""

import asyncio
import datetime
import os
import random
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from mailstack import __version__
from mailstack.config import Config, ConfigProblem, duration, load, size
from mailstack.control.operations import Operation, QueueOperations, UserOperations
from mailstack.control.server import ControlServer
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.remote import RemoteDelivery, RemoteSettings, parse_smarthost
from mailstack.delivery.runner import QueueRunner, Schedule
from mailstack.delivery.signing import Signer, make_keys
from mailstack.imap.server import ImapServer
from mailstack.imap.session import ImapServices
from mailstack.log import configure, get_logger
from mailstack.mailauth.dkim import dns_record
from mailstack.net.dns import Resolver
from mailstack.net.listen import ListenProblem, from_systemd, listen
from mailstack.net.tls import Certificates, TlsProblem, client_context, make_self_signed
from mailstack.policy.inbound import InboundPolicy, Recipients
from mailstack.policy.limits import Limits, default_gateways
from mailstack.policy.routing import Router
from mailstack.policy.submission import SubmissionPolicy
from mailstack.smtp.protocol import SmtpServices
from mailstack.smtp.server import SmtpServer
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreProblem
from mailstack.store.lock import DataLock
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.probe import probe
from mailstack.store.queue.queue import Queue
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import PasswordChecker
from mailstack.web.health import HealthServer

log = get_logger()
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "http")


class StartProblem(Exception):
    """Why the server can't start: one line for the admin."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What tests put in another's place: the disk, the clock and chance."""

    disk: Disk
    clock: Callable[[], float] = time.time
    randomness: random.Random = field(default_factory=random.SystemRandom)


class Data:
    """The floors that need no network: what commands work on when no server runs."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None) -> None:
        self.config = config
        self.surroundings = surroundings or Surroundings(Disk())
        data = config.data
        self.path = data
        self.lock = DataLock(data)
        self.database = Database(data / "mailstack.sqlite3")
        index_dir = Path(config.store.index_dir) if config.store.index_dir else None
        self.directory = Directory(self.database, data / "mail", index_dir)
        self.mailboxes = Mailboxes(
            config.hostname, self.surroundings.disk, self.surroundings.clock, self.surroundings.randomness
        )
        self.queue = Queue(data / "queue", self.database, self.surroundings.disk)
        self.trace = Trace(data / "trace.sqlite3", self.surroundings.clock)

    async def open(self) -> None:
        """Take the lock, bring the database up to date, read the queue."""
        os.umask(0o077)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("mail", "queue", "spool", "tls", "dkim"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as problem:
            raise StartProblem(f"data_dir: {problem.filename}: {problem.strerror}") from problem
        self.lock.acquire()
        self.database.start()
        await self.queue.start()

    async def close(self) -> None:
        await self.queue.close()
        await self.mailboxes.close()
        await self.trace.close()
        self.database.close()
        self.lock.release()

    def make_keys(self, domain: str) -> list[tuple[str, str]]:
        """DKIM keys of a domain, as the names and values of their DNS records."""
        stamp = datetime.datetime.fromtimestamp(self.surroundings.clock(), datetime.UTC).strftime("%Ym%m")
        keys = make_keys(self.path / "dkim", domain, stamp)
        return [(f"{key.selector}._domainkey.{domain}", dns_record(key)) for key in keys]

    def operations(self, runner: QueueRunner | None = None) -> dict[str, Operation]:
        kick = runner.kick if runner is not None else None
        return {
            **UserOperations(self.directory, self.mailboxes, self.make_keys).table(),
            **QueueOperations(self.queue, self.trace, kick).table(),
        }


class Appliance:
    """The server: start(), then stop()."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None) -> None:
        self.config = config
        self.data = Data(config, surroundings)
        self.ports: dict[str, list[int]] = {}
        self.certificates: Certificates | None = None
        self.ready = False
        self._sockets: dict[str, list[socket.socket]] = {}
        self._smtp: list[SmtpServer] = []

    # Floor 1 to 4, in order -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything, or raise one problem and leave nothing half-started."""
        try:
            await self._start()
        except BaseException:
            for sockets in self._sockets.values():
                for one in sockets:
                    one.close()
            raise

    async def _start(self) -> None:
        config, data = self.config, self.data
        clock, randomness = data.surroundings.clock, data.surroundings.randomness
        self._sockets = self._open_sockets()
        self.ports = {name: [one.getsockname()[1] for one in sockets] for name, sockets in self._sockets.items()}
        await data.open()
        for finding in probe(data.path):
            if finding.fatal:
                raise StartProblem(f"data_dir: {data.path}: {finding.text}")
            log.warning("data.probe", finding=finding.text)
        tls = self._certificates()
        self.passwords = PasswordChecker(data.directory)
        resolver = Resolver(list(config.dns.nameservers), randomness)
        limits = Limits(config.limits.connections_per_address, default_gateways(_route_table()))
        router = Router(data.directory, config.postmaster, await data.directory.setting("srs-secret"), clock)
        recipients = Recipients(router, data.directory, data.mailboxes, config.limits.recipients)
        inbound = InboundPolicy(recipients)
        submission = SubmissionPolicy(recipients, data.directory, config.hostname, clock, randomness)

        self.signer = Signer(data.path / "dkim")
        acceptor = Acceptor(router, data.directory, data.mailboxes, data.queue, data.trace, config.hostname, clock, randomness)
        bouncer = Bouncer(data.queue, config.hostname, acceptor.submit, randomness)
        acceptor.bouncer = bouncer
        remote = RemoteDelivery(
            self._remote_settings(), resolver, data.queue, self.signer,
            client_context(verify=False), client_context(verify=True), clock,
        )  # fmt: skip
        local = LocalDelivery(router, data.directory, data.mailboxes, data.queue)
        schedule = Schedule([duration(text) for text in config.relay.retry], duration(config.relay.expire))
        self.runner = QueueRunner(
            data.queue, remote, local.deliver, router.is_local, bouncer, data.trace, schedule, randomness, clock
        )

        def smtp(policy: InboundPolicy | SubmissionPolicy, login: bool, with_tls: bool) -> SmtpServer:
            return SmtpServer(
                SmtpServices(
                    hostname=config.hostname,
                    policy=policy,
                    acceptor=acceptor,
                    limits=limits,
                    trace=data.trace,
                    spool=data.path / "spool",
                    message_size=size(config.limits.message_size),
                    tls=tls if with_tls else None,
                    passwords=self.passwords if login else None,
                    allow_plaintext=config.auth.allow_plaintext or config.tls.mode == "off",
                    randomness=randomness,
                    clock=clock,
                )
            )

        self.imap = ImapServer(
            ImapServices(
                hostname=config.hostname,
                mailboxes=data.mailboxes,
                directory=data.directory,
                passwords=self.passwords,
                limits=limits,
                trace=data.trace,
                spool=data.path / "spool",
                message_size=size(config.limits.message_size),
                allow_plaintext=config.auth.allow_plaintext or config.tls.mode == "off",
                tls=tls,
                randomness=randomness,
                clock=clock,
            )
        )
        self.health = HealthServer(lambda: self.ready)
        self.control = ControlServer(data.path / "control.sock", data.operations(self.runner))
        doors = {
            "smtp": smtp(inbound, login=False, with_tls=True),
            "submission": smtp(submission, login=True, with_tls=True),
            "submissions": smtp(submission, login=True, with_tls=False),
        }
        self._smtp = list(doors.values())
        data.directory.on_revoked.append(self.imap.end_sessions)
        for server in self._smtp:
            data.directory.on_revoked.append(server.end_sessions)
        await self.runner.start()
        for name, server in doors.items():
            await server.listen(self._sockets[name], tls if name == "submissions" else None)
        await self.imap.listen(self._sockets["imap"], None)
        if tls is not None:
            await self.imap.listen(self._sockets["imaps"], tls)
        await self.health.listen(self._sockets["http"])
        await self.control.start()
        self.ready = True
        log.info("ready", version=__version__, hostname=config.hostname, ports=self.ports, queued=len(data.queue.messages))

    def _open_sockets(self) -> dict[str, list[socket.socket]]:
        found: dict[str, list[socket.socket]] = {name: [] for name in SERVICES}
        given = from_systemd()
        try:
            for name in SERVICES:
                if name in given:
                    found[name] = given[name]
                    continue
                if self.config.tls.mode == "off" and name in ("submissions", "imaps"):
                    continue
                for text in getattr(self.config.listen, name):
                    found[name].append(listen(text))
        except ListenProblem as problem:
            for sockets in found.values():
                for one in sockets:
                    one.close()
            raise StartProblem(f"listen.{name}: {problem}") from problem
        return found

    def _certificates(self) -> ssl.SSLContext | None:
        mode = self.config.tls.mode
        if mode == "off":
            return None
        if mode == "files":
            paths = Path(self.config.tls.certificate), Path(self.config.tls.key)
        else:
            now = datetime.datetime.fromtimestamp(self.data.surroundings.clock(), datetime.UTC)
            paths = make_self_signed(self.data.path / "tls", self.config.hostname, now)
        try:
            self.certificates = Certificates(*paths)
        except TlsProblem as problem:
            raise StartProblem(f"tls: {problem}") from problem
        return self.certificates.context

    def _remote_settings(self) -> RemoteSettings:
        relay = self.config.relay
        password = None
        if relay.smarthost_password_file:
            try:
                password = Path(relay.smarthost_password_file).read_text().strip()
            except OSError as problem:
                raise StartProblem(
                    f"relay.smarthost_password_file: {relay.smarthost_password_file}: {problem.strerror}"
                ) from problem
        try:
            smarthost = parse_smarthost(relay.smarthost, password)
        except ValueError as problem:
            raise StartProblem(f"relay.smarthost: {problem}") from problem
        return RemoteSettings(self.config.hostname, relay.mx_port, smarthost, tuple(relay.source), relay.ipv6)

    def reload(self, config: Config | None = None) -> None:
        """SIGHUP: certificates and keys from their files, the log's level. Listeners and limits need a restart."""
        if self.certificates is not None:
            try:
                self.certificates.reload()
            except TlsProblem as problem:
                log.error("reload.certificate_kept", problem=str(problem))
        self.signer.forget()
        if config is not None:
            configure(config.log.format, config.log.level)
        log.info("reloaded")

    async def stop(self) -> None:
        """Answer what is under way, then close everything. At most some ten seconds."""
        self.ready = False
        log.info("stopping")
        await asyncio.gather(self.imap.stop(), *(server.stop(4.0) for server in self._smtp))
        self.health.stop()
        await self.control.stop()
        await self.runner.stop(3.0)
        self.passwords.close()
        await self.data.close()
        log.info("stopped")


def _route_table() -> str:
    try:
        return Path("/proc/net/route").read_text()
    except OSError:
        return ""


def _notify(state: str) -> None:
    """Tell systemd (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect("\0" + address[1:] if address.startswith("@") else address)
        one.sendall(state.encode())


async def _serve(config: Config, path: str | None, surroundings: Surroundings | None) -> None:
    appliance = Appliance(config, surroundings)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def reload() -> None:
        try:
            appliance.reload(load(path))
        except ConfigProblem as problem:
            log.error("reload.refused", problem=str(problem))

    loop.add_signal_handler(signal.SIGHUP, reload)
    await appliance.start()
    _notify("READY=1")
    await stop.wait()
    _notify("STOPPING=1")
    await appliance.stop()


def serve(config: Config, path: str | None = None, surroundings: Surroundings | None = None) -> int:
    """Run in the foreground until SIGTERM. The exit code: 0, or 2 when it can't start."""
    configure(config.log.format, config.log.level)
    # With the default of 5 ms one busy thread would make the event loop wait that long, again and again.
    sys.setswitchinterval(0.0005)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 20)), hard))
    try:
        uvloop.run(_serve(config, path, surroundings))
    except (StartProblem, StoreProblem, ConfigProblem) as problem:
        text = str(problem) or type(problem).__name__
        where = path or "environment"
        reason = "another server runs on this data folder: " if type(problem).__name__ == "DataLocked" else ""
        print(f"mailstack: {where}: {reason}{text}", file=sys.stderr)
        return 2
    return 0
