"""The composition root: everything is built here, floor by floor, and nowhere else."""

import asyncio
import contextlib
import ctypes
import datetime
import functools
import gc
import os
import random
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from mailstack import __version__
from mailstack.config import SERVICES, Config, ConfigProblem, changed, duration, keep_fixed, load, size
from mailstack.control.acl import AclOperations
from mailstack.control.capabilities import CapabilityOperations
from mailstack.control.operations import Operation
from mailstack.control.queue import QueueOperations
from mailstack.control.server import ControlServer
from mailstack.control.users import UserOperations
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.remote import RemoteDelivery, RemoteSettings, parse_smarthost
from mailstack.delivery.runner import QueueRunner, Schedule
from mailstack.delivery.signing import Signer, make_keys
from mailstack.imap.capability import hideable, on_request
from mailstack.imap.server import ImapServer
from mailstack.imap.session import ImapServices
from mailstack.imap.table import HANDLERS
from mailstack.log import configure, get_logger
from mailstack.mailauth.dkim import dns_record
from mailstack.net.dns import Resolver
from mailstack.net.listen import ListenProblem, from_systemd, listen
from mailstack.net.tls import Certificates, TlsProblem, client_context, make_self_signed, try_pair
from mailstack.policy.inbound import InboundPolicy, Recipients
from mailstack.policy.limits import Limits, default_gateways
from mailstack.policy.login import Logins
from mailstack.policy.routing import Router
from mailstack.policy.sharing import Sharing
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.tokens import OAuthSettings, Tokens
from mailstack.pop3.server import Pop3Server
from mailstack.pop3.session import Pop3Services
from mailstack.smtp.protocol import SmtpServices
from mailstack.smtp.server import SmtpServer
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreProblem
from mailstack.store.fulltext.indexing import IndexSettings
from mailstack.store.fulltext.questions import Attachments
from mailstack.store.lock import DataLock, become_owner
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.searching import SearchSettings
from mailstack.store.probe import probe
from mailstack.store.queue.queue import Queue
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import PasswordChecker
from mailstack.store.users.scram import Scram, ScramMode
from mailstack.store.users.shares import Shares
from mailstack.web.health import HealthServer

log = get_logger()
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
CONTROL_THREADS = 2


class StartProblem(Exception):
    """Why the server can't start: one line for the admin."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What tests put in another's place: the disk, the clock and chance."""

    disk: Disk
    clock: Callable[[], float] = time.time
    randomness: random.Random = field(default_factory=random.SystemRandom)


@dataclass(frozen=True, slots=True)
class Settings:
    """What may change while the server runs, read whole before anything is touched: a bad file changes nothing."""

    message_size: int
    allow_plaintext: bool
    share_with_anyone: bool
    urlauth: bool
    scram: ScramMode
    oauth: OAuthSettings | None
    recipients: int
    messages: int | None
    connections_per_address: int
    connections: int
    imap_messages: int | None
    imap_copies: int | None
    imap_progress: float  # seconds
    postmaster: str
    nameservers: tuple[str, ...]
    remote: RemoteSettings
    schedule: Schedule
    pair: tuple[Path, Path] | None  # certificate and key, where the admin gives them

    @classmethod
    def of(cls, config: Config) -> "Settings":
        """Read the files that a configuration names too. Raises StartProblem with key and reason."""
        pair = None
        if config.tls.mode == "files":
            pair = Path(config.tls.certificate), Path(config.tls.key)
            try:
                try_pair(*pair)
            except TlsProblem as problem:
                raise StartProblem(f"tls.{'key' if problem.is_key else 'certificate'}: {problem}") from problem
        return cls(
            message_size=size(config.limits.message_size),
            allow_plaintext=config.auth.allow_plaintext or config.tls.mode == "off",
            share_with_anyone=config.sharing.anyone,
            urlauth=config.imap.urlauth,
            scram=ScramMode(config.auth.scram),
            oauth=_oauth_settings(config),
            recipients=config.limits.recipients,
            messages=config.limits.messages or None,
            connections_per_address=config.limits.connections_per_address,
            connections=config.limits.connections,
            imap_messages=config.limits.imap_messages or None,
            imap_copies=config.limits.imap_messages or config.limits.imap_copies or None,
            imap_progress=duration(config.limits.imap_progress),
            postmaster=config.postmaster,
            nameservers=tuple(config.dns.nameservers),
            remote=_remote_settings(config),
            schedule=Schedule([duration(text) for text in config.relay.retry], duration(config.relay.expire)),
            pair=pair,
        )


def _oauth_settings(config: Config) -> OAuthSettings | None:
    oauth = config.oauth
    if not oauth.on:
        return None
    secret = _secret("oauth.client_secret_file", oauth.client_secret_file) if oauth.client_secret_file else ""
    return OAuthSettings(
        oauth.issuer, oauth.jwks, oauth.introspection, oauth.client_id, secret, oauth.audience, oauth.scope, oauth.claim
    )


def _secret(key: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8"
        raise StartProblem(f"{key}: {path}: can't be read: {reason}") from problem


def _remote_settings(config: Config) -> RemoteSettings:
    relay = config.relay
    password = None
    if relay.smarthost_password_file:
        password = _secret("relay.smarthost_password_file", relay.smarthost_password_file)
    smarthost = parse_smarthost(relay.smarthost, password)
    return RemoteSettings(config.hostname, relay.mx_port, smarthost, tuple(relay.source), relay.ipv6)


def _search_settings(config: Config) -> SearchSettings:
    search = config.search
    attachments = None
    if search.attachment_command:
        attachments = Attachments(search.attachment_command, duration(search.attachment_time), size(search.attachment_size))
    return SearchSettings(IndexSettings(duration(search.delay), attachments) if search.index else None)


class Data:
    """The floors that need no network: what commands work on when no server runs."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None, *, serves: bool = False) -> None:
        """`serves`: a server, which keeps indexes for searches."""
        self.config = config
        self.surroundings = surroundings or Surroundings(Disk())
        data = config.data
        self.path = data
        self.lock = DataLock(data)
        self.database = Database(data / "mailstack.sqlite3")
        index_dir = Path(config.store.index_dir) if config.store.index_dir else None
        self.directory = Directory(self.database, data / "mail", index_dir)
        self.scram = Scram(self.directory, ScramMode(config.auth.scram))
        self.mailboxes = Mailboxes(
            config.hostname,
            self.surroundings.disk,
            self.surroundings.clock,
            self.surroundings.randomness,
            search=_search_settings(config) if serves else None,
        )
        self.sharing = Sharing(self.directory, Shares(self.database), self.mailboxes, anyone=config.sharing.anyone)
        self.queue = Queue(data / "queue", self.database, self.surroundings.disk)
        self.trace = Trace(data / "trace.sqlite3", self.surroundings.clock)
        self._executor = ThreadPoolExecutor(CONTROL_THREADS, thread_name_prefix="control")

    async def open(self) -> None:
        """Take the lock, bring the database up to date, read the queue."""
        os.umask(0o077)
        await self._hop(self._prepare)
        await self.directory.start()
        await self.queue.start()

    def _prepare(self) -> None:
        _make(self.path, "data_dir")
        try:
            self.lock.acquire()
        except OSError as problem:
            raise StartProblem(f"data_dir: {problem.filename}: {problem.strerror}") from problem
        for name in ("mail", "queue", "spool", "tls", "dkim"):
            _make(self.path / name, "data_dir")
        self._look("data_dir", self.path)
        if self.config.store.index_dir:
            folder = Path(self.config.store.index_dir)
            _make(folder, "store.index_dir")
            self._look("store.index_dir", folder)
        self.database.start()

    def _look(self, key: str, folder: Path) -> None:
        """Whether the mount can carry what is kept there."""
        for finding in probe(folder):
            if finding.fatal:
                raise StartProblem(f"{key}: {folder}: {finding.text}")
            log.warning("data.probe", key=key, finding=finding.text)

    async def _hop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What takes milliseconds of one processor: hashes of passwords, keys."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, functools.partial(function, *arguments))

    async def close(self) -> None:
        await self.queue.close()
        await self.mailboxes.close()
        await self.trace.close()
        self.database.close()
        self._executor.shutdown()
        self.lock.release()

    def make_keys(self, domain: str) -> list[tuple[str, str]]:
        """DKIM keys of a domain, as the names and values of their DNS records."""
        stamp = datetime.datetime.fromtimestamp(self.surroundings.clock(), datetime.UTC).strftime("%Ym%m")
        keys = make_keys(self.path / "dkim", domain, stamp)
        return [(f"{key.selector}._domainkey.{domain}", dns_record(key)) for key in keys]

    def operations(self, runner: QueueRunner | None = None) -> dict[str, Operation]:
        kick = runner.kick if runner is not None else None
        return {
            **UserOperations(
                self.directory,
                self.scram,
                self.mailboxes,
                self.sharing,
                self.make_keys,
                self._hop,
                self.surroundings.clock,
            ).table(),
            **AclOperations(self.directory, self.mailboxes, self.sharing).table(),
            **CapabilityOperations(self.directory, hideable(HANDLERS), on_request(HANDLERS)).table(),
            **QueueOperations(self.queue, self.trace, kick).table(),
        }


def _make(folder: Path, key: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise StartProblem(f"{key}: {problem.filename}: {problem.strerror}") from problem


class Appliance:
    """The server: start(), then stop()."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None) -> None:
        self.config = config
        self.data = Data(config, surroundings, serves=True)
        self.ports: dict[str, list[int]] = {}
        self.certificates: Certificates | None = None
        self.ready = False
        self._sockets: dict[str, list[socket.socket]] = {}
        self._smtp: list[SmtpServer] = []

    # Floor 1 to 4, in order -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything, or raise one problem and leave nothing half-started."""
        async with contextlib.AsyncExitStack() as undo:
            await self._start(undo)
            undo.pop_all()

    async def _start(self, undo: contextlib.AsyncExitStack) -> None:
        config, data = self.config, self.data
        clock, randomness = data.surroundings.clock, data.surroundings.randomness
        settings = Settings.of(config)
        self._sockets = _open_sockets(config, undo)
        self.ports = {name: [one.getsockname()[1] for one in sockets] for name, sockets in self._sockets.items()}
        # The ports are open and the files are read: root is of no more use.
        become_owner(data.path)
        undo.push_async_callback(data.close)
        await data.open()
        tls = self._certificates(settings)
        self.passwords = PasswordChecker(data.directory, scram=data.scram)
        undo.callback(self.passwords.close)
        resolver = self._resolver = Resolver(list(settings.nameservers), randomness)
        limits = self._limits = Limits(
            settings.connections_per_address, default_gateways(_route_table()), connections=settings.connections
        )
        logins = self._logins = Logins(data.directory, self.passwords, data.scram, limits, self._tokens(settings))
        secret = await data.directory.setting("srs-secret")
        router = self._router = Router(data.directory, settings.postmaster, secret, clock)
        data.directory.message_quota = settings.messages
        recipients = self._recipients = Recipients(router, data.directory, data.mailboxes, settings.recipients)
        inbound = InboundPolicy(recipients)
        submission = SubmissionPolicy(recipients, data.directory, config.hostname, clock, randomness)

        self.signer = Signer(data.path / "dkim")
        acceptor = Acceptor(router, data.directory, data.mailboxes, data.queue, data.trace, clock, randomness)
        bouncer = Bouncer(data.queue, config.hostname, acceptor.submit, randomness)
        acceptor.bouncer = bouncer
        remote = self._remote = RemoteDelivery(
            settings.remote, resolver, data.queue, self.signer,
            client_context(verify=False), client_context(verify=True), clock,
        )  # fmt: skip
        local = LocalDelivery(router, data.directory, data.mailboxes, data.queue)
        self.runner = QueueRunner(
            data.queue, remote, local.deliver, router.is_local, bouncer, data.trace, settings.schedule, randomness, clock
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
                    message_size=settings.message_size,
                    tls=tls if with_tls else None,
                    logins=logins if login else None,
                    allow_plaintext=settings.allow_plaintext,
                    randomness=randomness,
                    clock=clock,
                )
            )

        self.imap = ImapServer(
            ImapServices(
                hostname=config.hostname,
                mailboxes=data.mailboxes,
                directory=data.directory,
                sharing=data.sharing,
                logins=logins,
                limits=limits,
                trace=data.trace,
                spool=data.path / "spool",
                message_size=settings.message_size,
                message_limit=settings.imap_messages,
                copy_limit=settings.imap_copies,
                progress_seconds=settings.imap_progress,
                allow_plaintext=settings.allow_plaintext,
                tls=tls,
                postmaster=settings.postmaster,
                urlauth=settings.urlauth,
                randomness=randomness,
                clock=clock,
            )
        )
        self.pop3 = Pop3Server(
            Pop3Services(
                hostname=config.hostname,
                mailboxes=data.mailboxes,
                directory=data.directory,
                logins=logins,
                limits=limits,
                trace=data.trace,
                allow_plaintext=settings.allow_plaintext,
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
        data.directory.on_revoked.append(self.pop3.end_sessions)
        for server in self._smtp:
            data.directory.on_revoked.append(server.end_sessions)
        undo.push_async_callback(self.runner.stop)
        await self.runner.start()
        for name, server in doors.items():
            await server.listen(self._sockets[name], tls if name == "submissions" else None)
        await self.imap.listen(self._sockets["imap"], None)
        if tls is not None:
            await self.imap.listen(self._sockets["imaps"], tls)
            await self.pop3.listen(self._sockets["pop3s"], tls)
        await self.pop3.listen(self._sockets["pop3"], None)
        await self.health.listen(self._sockets["http"])
        try:
            await self.control.start()
        except OSError as problem:
            raise StartProblem(f"data_dir: control.sock: {problem.strerror or problem}") from problem
        self.ready = True

    def _tokens(self, settings: Settings) -> Tokens | None:
        if settings.oauth is None:
            return None
        return Tokens(settings.oauth, client_context(verify=True), self.data.surroundings.clock)

    def _certificates(self, settings: Settings) -> ssl.SSLContext | None:
        if self.config.tls.mode == "off":
            return None
        try:
            certificate, key = settings.pair or self._self_signed()
            self.certificates = Certificates(certificate, key)
        except TlsProblem as problem:
            raise StartProblem(f"tls.mode: {problem}") from problem
        except OSError as problem:
            raise StartProblem(f"data_dir: {problem.filename}: {problem.strerror}") from problem
        return self.certificates.context

    def _self_signed(self) -> tuple[Path, Path]:
        now = datetime.datetime.fromtimestamp(self.data.surroundings.clock(), datetime.UTC)
        return make_self_signed(self.data.path / "tls", self.config.hostname, now)

    # While it runs --------------------------------------------------------------------------------------------------

    async def reload(self, path: str | None) -> None:
        """SIGHUP: settings, certificates and DKIM keys from their files. What is wrong changes nothing."""
        try:
            asked = await asyncio.to_thread(load, path)
            config = keep_fixed(self.config, asked)
            settings = await asyncio.to_thread(Settings.of, config)
            if self.certificates is not None:
                pair = settings.pair if settings.pair is not None else await asyncio.to_thread(self._self_signed)
                self.certificates.use(*pair)
        except (ConfigProblem, StartProblem, TlsProblem, OSError) as problem:
            log.error("reload.refused", file=path, problem=str(problem))
            return
        differs, done = changed(self.config, asked), changed(self.config, config)
        self.config = config
        self._use(settings)
        self.signer.forget()
        configure(config.log.format, config.log.level)
        log.info("reloaded", changed=done, needs_restart=[key for key in differs if key not in done])

    def _use(self, settings: Settings) -> None:
        """Put settings to use. A connection keeps those it was greeted with: they are what it was told."""
        for server in self._smtp:
            server.services = replace(
                server.services, message_size=settings.message_size, allow_plaintext=settings.allow_plaintext
            )
        self.imap.services = replace(
            self.imap.services,
            message_size=settings.message_size,
            allow_plaintext=settings.allow_plaintext,
            postmaster=settings.postmaster,
            urlauth=settings.urlauth,
        )
        self.data.sharing.anyone = settings.share_with_anyone
        self.pop3.services = replace(self.pop3.services, allow_plaintext=settings.allow_plaintext)
        self.data.scram.mode = settings.scram
        if self._logins.tokens is None or self._logins.tokens.settings != settings.oauth:
            self._logins.tokens = self._tokens(settings)
        self._limits.per_address = settings.connections_per_address
        self._limits.connections = settings.connections
        self._recipients.limit = settings.recipients
        self.data.directory.message_quota = settings.messages
        self._router.postmaster = settings.postmaster
        self._resolver.use(list(settings.nameservers))
        self._remote.use(settings.remote)
        self.runner.schedule = settings.schedule

    async def stop(self) -> None:
        """Answer what is under way, then close everything. At most some ten seconds."""
        self.ready = False
        log.info("stopping")
        doors = (self.imap.stop(), self.pop3.stop(), *(server.stop(4.0) for server in self._smtp))
        await asyncio.gather(self.control.stop(4.0), *doors)
        self.health.stop()
        await self.runner.stop(3.0)
        self.passwords.close()
        await self.data.close()


def _open_sockets(config: Config, undo: contextlib.AsyncExitStack) -> dict[str, list[socket.socket]]:
    """What systemd gave, and the configured listeners of every other service."""
    found = from_systemd()
    for one in (one for sockets in found.values() for one in sockets):
        undo.callback(one.close)
    given = set(found)
    unknown = sorted(given.difference(SERVICES))
    if unknown:
        raise StartProblem(
            f"systemd gave a socket named {unknown[0]!r}; FileDescriptorName= must be one of {', '.join(SERVICES)}"
        )
    for name, text in config.listeners():
        if name not in given:
            try:
                found.setdefault(name, []).append(one := listen(text))
            except ListenProblem as problem:
                raise StartProblem(f"listen.{name}: {problem}") from problem
            undo.callback(one.close)
    return {name: found.get(name, []) for name in SERVICES}


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
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.connect("\0" + address[1:] if address.startswith("@") else address)
            one.sendall(state.encode())
    except OSError as problem:
        log.warning("notify.failed", state=state, problem=str(problem))


async def _serve(config: Config, path: str | None, surroundings: Surroundings | None) -> None:
    appliance = Appliance(config, surroundings)
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    await appliance.start()
    # What the start made stays: the collector need not look at it again and again while connections wait.
    gc.collect()
    gc.freeze()
    _notify("READY=1")
    log.info(
        "ready",
        version=__version__,
        hostname=config.hostname,
        ports=appliance.ports,
        queued=len(appliance.data.queue.messages),
    )
    while await signals.get() is signal.SIGHUP:
        await appliance.reload(path)
    _notify("STOPPING=1")
    await appliance.stop()
    log.info("stopped")


def _give_memory_back() -> None:
    """Let the C library return what is freed, instead of keeping it for every thread.

    glibc raises its threshold for mapped memory to the largest block that was ever freed: the 19 MiB of one password's proof
    would stay for good, once for each thread. Other C libraries have no such call, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 32 << 20), (_M_ARENA_MAX, 1)):
            mallopt(option, value)


def serve(config: Config, path: str | None = None, surroundings: Surroundings | None = None) -> int:
    """Run in the foreground until SIGTERM. The exit code: 0, or 2 when it can't start."""
    configure(config.log.format, config.log.level)
    # With the default of 5 ms one busy thread would make the event loop wait that long, again and again.
    sys.setswitchinterval(0.0005)
    _give_memory_back()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 20)), hard))
    try:
        uvloop.run(_serve(config, path, surroundings))
    except (StartProblem, StoreProblem) as problem:
        key = "data_dir: " if isinstance(problem, StoreProblem) else ""
        print(f"mailstack: {path or 'environment'}: {key}{problem}", file=sys.stderr)
        return 2
    return 0
