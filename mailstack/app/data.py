"""What works without an open door."""

import asyncio
import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mailstack.app.publishing import publisher
from mailstack.app.settings import ban_settings, keep_deleted, search_settings, sending_rules
from mailstack.app.surroundings import StartProblem, Surroundings
from mailstack.app.tls_settings import given_pair, updater
from mailstack.certificates.files import AcmeFiles
from mailstack.certificates.sources import Sources
from mailstack.config import Config, duration, render, size
from mailstack.control.acl import AclOperations
from mailstack.control.aliases import AliasOperations
from mailstack.control.api_tokens import ApiTokenOperations
from mailstack.control.arguments import OperationProblem
from mailstack.control.backups import BackupOperations
from mailstack.control.bans import BanOperations
from mailstack.control.capabilities import CapabilityOperations
from mailstack.control.certificates import CertificateOperations
from mailstack.control.console import ConsoleOperations
from mailstack.control.deleted import DeletedOperations
from mailstack.control.devices import DeviceOperations
from mailstack.control.dkim import DkimOperations
from mailstack.control.dns import DnsOperations
from mailstack.control.doctor.rounds import CheckOperations
from mailstack.control.gateways import GatewayOperations
from mailstack.control.importing_mail import ImportOperations
from mailstack.control.jobs import Jobs
from mailstack.control.moving import MoveOperations
from mailstack.control.nat import NatOperations
from mailstack.control.operations import Operation
from mailstack.control.own_tls import OwnTlsOperations
from mailstack.control.pulling import PullOperations
from mailstack.control.queue import QueueOperations
from mailstack.control.rejects import RejectOperations
from mailstack.control.repairing import RepairOperations
from mailstack.control.reports import ReportOperations
from mailstack.control.rules import RuleOperations
from mailstack.control.selftests import SelftestOperations, Selftests
from mailstack.control.sending import SendingOperations
from mailstack.control.setting_up import SetupOperations
from mailstack.control.sieve import SieveOperations
from mailstack.control.spam import SpamOperations
from mailstack.control.takeout import TakeoutOperations
from mailstack.control.tls import TlsOperations
from mailstack.control.tracing import TraceOperations
from mailstack.control.usage import UsageOperations
from mailstack.control.users import UserOperations
from mailstack.control.webhooks import WebhookOperations
from mailstack.delivery.rehearsal import Rehearsal
from mailstack.delivery.report_mail import ReportMail
from mailstack.delivery.rotation import Rotation
from mailstack.delivery.rules import Rules
from mailstack.delivery.runner import QueueRunner
from mailstack.delivery.signing import Signer, make_keys
from mailstack.delivery.stopping import Keeper
from mailstack.delivery.webhooks import Webhooks
from mailstack.imap.capability import hideable, on_request
from mailstack.imap.table import HANDLERS
from mailstack.log import get_logger
from mailstack.mailauth.dkim import dns_record
from mailstack.net.dns import Resolver
from mailstack.net.dns_update import Updater
from mailstack.net.tls import TlsProblem
from mailstack.policy.bans import Bans
from mailstack.policy.clients import client_settings
from mailstack.policy.leaving import Leaving
from mailstack.policy.limits import default_gateways
from mailstack.policy.nat import Nat
from mailstack.policy.sending import Sending
from mailstack.policy.sharing import Sharing
from mailstack.policy.spam.learning import Learner
from mailstack.policy.spam.senders import Senders
from mailstack.policy.suffixes import Suffixes
from mailstack.records.publisher import Publisher
from mailstack.sieve.limits import Limits
from mailstack.store.backup.backups import Backups
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.dkim_keys import KeyStore
from mailstack.store.hidings import HidingFile, KnownHiding
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.lock import DataLock
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.moving.door import Mover
from mailstack.store.probe import probe
from mailstack.store.queue.queue import Queue
from mailstack.store.reports import ReportStore
from mailstack.store.sieve.memory import SieveMemories
from mailstack.store.sieve.scripts import ScriptLimits, Scripts
from mailstack.store.takeout.gathering import Gatherer
from mailstack.store.trace import Trace
from mailstack.store.transport import TransportStore
from mailstack.store.users.api_tokens import ApiTokens
from mailstack.store.users.bans import BanTable
from mailstack.store.users.devices import Devices
from mailstack.store.users.directory import Directory
from mailstack.store.users.gateways import Gateways
from mailstack.store.users.logins import LoginBook
from mailstack.store.users.scram import Scram, ScramMode
from mailstack.store.users.second_factor import Codes
from mailstack.store.users.sending import SendingBook
from mailstack.store.users.sessions import Sessions
from mailstack.store.users.setup_links import SetupLinks
from mailstack.store.users.shares import Shares
from mailstack.store.users.webhooks import WebhookTable

CONTROL_THREADS = 2

log = get_logger()


class Data:
    """The floors below the doors: what commands work on when no server runs."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None, *, serves: bool = False) -> None:
        """`serves`: a server, which keeps indexes for searches."""
        self.config = config
        self.surroundings = surroundings or Surroundings(Disk())
        data = config.data
        self.path = data
        self.lock = DataLock(data)
        self.database = Database(data / "mailstack.sqlite3", disk=self.surroundings.disk)
        self.behind = WriteBehind(self.database)
        self.devices = Devices(self.database, self.behind)
        self.logins = LoginBook(self.database, self.behind, self.surroundings.clock)
        self.bans = Bans(BanTable(self.database, self.behind), self.surroundings.clock)
        self.bans.settings = ban_settings(config)
        self.sending = Sending(SendingBook(self.database, self.behind), self.surroundings.clock)
        self.sending.use(sending_rules(config))
        index_dir = Path(config.store.index_dir) if config.store.index_dir else None
        self.directory = Directory(self.database, data / "mail", index_dir)
        self.selftests = Selftests()
        self.api_tokens = ApiTokens(self.database, self.behind)
        self.hooks = WebhookTable(self.database)
        self.webhooks: Webhooks | None = None  # of a server that runs
        self.sessions = Sessions(self.database, self.behind, self.surroundings.clock)
        self.directory.on_locked.append(self.sessions.forget)
        self.codes = Codes(self.database, self.surroundings.clock)
        self.scram = Scram(self.directory, ScramMode(config.auth.scram))
        self.mailboxes = Mailboxes(
            config.hostname,
            self.surroundings.disk,
            self.surroundings.clock,
            self.surroundings.randomness,
            search=search_settings(config) if serves else None,
            keep_deleted=keep_deleted(config),
        )
        self.sharing = Sharing(self.directory, Shares(self.database), self.mailboxes, anyone=config.sharing.anyone)
        clock = self.surroundings.clock
        scripts = ScriptLimits(size(config.rules.script_size), config.rules.scripts)
        language = Limits(redirects=config.rules.redirects)
        self.gateways = Gateways(self.database)
        self.scripts = Scripts(data / "mail", self.surroundings.disk, scripts, language)
        self.memories = SieveMemories(self.database, clock)
        self.queue = Queue(data / "queue", self.database, self.surroundings.disk)
        self.nat = Nat(default_gateways(_route_table()), clock)
        self._hidings = HidingFile(data / "nat.json", self.surroundings.disk)
        self.nat.on_known = self._keep_hidings
        self.trace = Trace(data / "trace.sqlite3", self.surroundings.clock, subjects=config.trace.subjects)
        self.rules = Rules(self.directory, self.scripts, self.memories, self.trace, config.hostname, clock, self.sending)
        self.backups = Backups(
            data, self.directory, self.mailboxes, self.surroundings.disk, config.hostname, lambda: render(self.config)
        )
        self.resolver = Resolver(list(config.dns.nameservers), self.surroundings.randomness, dnssec=config.dns.dnssec)
        self.suffixes = Suffixes()
        files = AcmeFiles(data / "tls" / "acme", self.surroundings.disk)
        self.sources = Sources(data / "tls", config.hostname.lower(), files, clock)
        self.transport = TransportStore(data / "transport.sqlite3")
        self.clients = client_settings(config)
        self.leaving = Leaving(self.directory, lambda: self.clients.web)
        self.setup_links = SetupLinks(self.database, self.surroundings.clock)
        self.keeper = Keeper(self.queue, self.trace)
        self.reports = ReportStore(data / "reports.sqlite3")
        self.report_mail = ReportMail(
            self.reports, self.trace, self.directory.domains, config.hostname, self.surroundings.clock
        )
        keys = KeyStore(data / "dkim", self.surroundings.disk)
        self.signer = Signer(keys, config.hostname, duration(config.dkim.valid) if config.dkim.valid else None)
        self.rotation = Rotation(keys, self.signer, self.resolver, self.surroundings.clock, duration(config.dkim.overlap))
        self.learned = LearnedDoor()
        self.senders = Senders(self.learned, self.surroundings.clock)
        self.learner = Learner(config.hostname, self.mailboxes, self.learned, self.senders, self.surroundings.clock)
        gatherer = Gatherer(self.directory, self.mailboxes, self.scripts)
        self._takeouts = TakeoutOperations(self.directory, gatherer, clock)
        self.mover = Mover(self.mailboxes, self.surroundings.disk, self.surroundings.randomness, config.hostname)
        self.jobs = Jobs()
        self._executor = ThreadPoolExecutor(CONTROL_THREADS, thread_name_prefix="control")

    async def open(self) -> None:
        """Take the lock, bring the database up to date, read the queue."""
        os.umask(0o077)
        await self._hop(self._prepare)
        await self.directory.start()
        await self.gateways.start()
        await self.bans.start()
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
        self.nat.restore(self._hidings.read())

    def _keep_hidings(self, known: Sequence[KnownHiding]) -> None:
        asyncio.get_running_loop().run_in_executor(self._executor, self._hidings.write, known)

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
        await self.backups.close()
        await self.jobs.close()
        self.mover.close()
        await self.learner.close()
        await self.senders.close()
        await self.learned.close()
        await self.queue.close()
        self.scripts.close()
        await self.mailboxes.close()
        await self.trace.close()
        await self.transport.close()
        await self.reports.close()
        await self.behind.close()
        self.database.close()
        self._executor.shutdown()
        self.lock.release()

    def make_keys(self, domain: str) -> list[tuple[str, str]]:
        """DKIM keys of a domain, as the names and values of their DNS records."""
        stamp = datetime.datetime.fromtimestamp(self.surroundings.clock(), datetime.UTC).strftime("%Ym%m")
        keys = make_keys(self.path / "dkim", domain, stamp, self.surroundings.clock())
        return [(f"{key.selector}._domainkey.{domain}", dns_record(key)) for key in keys]

    def _publisher(self) -> Publisher:
        """Blocks."""
        found: list[str] = []
        if self.config.tls.mode != "off":
            with contextlib.suppress(TlsProblem, OSError):
                found = [str(one) for one in self.sources.records(self.config.tls.mode, given_pair(self.config))]
        return publisher(self.config, self.clients, found)

    def _updater(self) -> Updater | None:
        try:
            return updater(self.config)
        except StartProblem as problem:
            raise OperationProblem(str(problem)) from None

    def operations(self, runner: QueueRunner | None = None) -> dict[str, Operation]:
        kick = runner.kick if runner is not None else None
        devices = DeviceOperations(self.directory, self.devices, self.scram, self._hop, self.surroundings.clock)
        links = self.setup_links if runner is not None else None
        table: dict[str, Operation] = {
            **UserOperations(
                self.directory,
                self.scram,
                self.mailboxes,
                self.sharing,
                self.sending,
                self.make_keys,
                self._hop,
                self.surroundings.clock,
            ).table(),
            **devices.table(),
            **SetupOperations(devices, lambda: self.clients, links).table(),
            **ConsoleOperations(
                self.directory, self.sessions, self.codes, self.config.hostname, self.surroundings.clock
            ).table(),
            **RepairOperations(self.directory, self.mailboxes, self.sharing, self.jobs).table(),
            **UsageOperations(self.directory, self.mailboxes, self.logins).table(),
            **CertificateOperations(self.directory, self.surroundings.clock).table(),
            **BackupOperations(
                self.backups,
                self.directory,
                self.mailboxes,
                self.jobs,
                self.path / "spool",
                Path(self.config.backup.dir) if self.config.backup.dir else None,
                self.config.backup.keep,
            ).table(),
            **DeletedOperations(self.directory, self.mailboxes, self.surroundings.disk, self.path / "spool").table(),
            **BanOperations(self.bans).table(),
            **SendingOperations(self.directory, self.sending, self.keeper, kick).table(),
            **GatewayOperations(self.gateways).table(),
            **AliasOperations(self.directory).table(),
            **AclOperations(self.directory, self.mailboxes, self.sharing).table(),
            **CapabilityOperations(self.directory, hideable(HANDLERS), on_request(HANDLERS)).table(),
            **TlsOperations(self.transport, open_=runner is None).table(),
            **OwnTlsOperations(self.sources, self.config.tls.mode, lambda: given_pair(self.config)).table(),
            **ReportOperations(self.reports, self.report_mail, self.surroundings.clock).table(),
            **DkimOperations(self.directory, self.rotation).table(),
            **DnsOperations(
                self.directory,
                self.rotation,
                self.resolver,
                self.make_keys,
                self._publisher,
                self._updater,
                self._hop,
            ).table(),
            **QueueOperations(self.queue, self.trace, kick).table(),
            **SpamOperations(self.directory, self.mailboxes, self.learned, self.learner, self.surroundings.clock).table(),
            **self.jobs.table(),
            **PullOperations(self.directory, self.mailboxes, self.path / "spool", self.mover.hop).table(),
            **ImportOperations(self.directory, self.mailboxes, self.jobs, self.path / "spool", self.mover.hop).table(),
            **MoveOperations(self.directory, self.mailboxes, self.scripts, self.mover, self.jobs).table(),
            **NatOperations(self.nat).table(),
            **SieveOperations(
                self.directory,
                self.mailboxes,
                self.scripts,
                Rehearsal(self.directory, self.mailboxes, self.rules, self.surroundings.clock),
            ).table(),
            **RuleOperations(self.directory, self.mailboxes, self.scripts).table(),
            **RejectOperations(self.directory, self.mailboxes, self.learner, self.trace).table(),
            **self._takeouts.table(),
            **ApiTokenOperations(self.directory, self.api_tokens, self.surroundings.clock).table(),
            **WebhookOperations(self.directory, self.hooks, self.webhooks, self.surroundings.clock).table(),
            **SelftestOperations(self.selftests, self.surroundings.clock).table(),
            **TraceOperations(self.trace, self.queue, self.surroundings.clock).table(),
        }
        # The server may put others in place of some; the doctor asks for those of this table only when it is asked.
        check = CheckOperations(table, lambda: self.config, self.resolver, self.surroundings.clock, running=runner is not None)
        table |= check.table()
        return table


def _route_table() -> str:
    try:
        return Path("/proc/net/route").read_text()
    except OSError:
        return ""


def _make(folder: Path, key: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise StartProblem(f"{key}: {problem.filename}: {problem.strerror}") from problem
