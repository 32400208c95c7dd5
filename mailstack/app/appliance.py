"""The server: everything is built here, floor by floor, and nowhere else."""

import asyncio
import contextlib
from dataclasses import replace

from mailstack.app.backing_up import BackingUp
from mailstack.app.data import Data
from mailstack.app.doors import Behind, Doors
from mailstack.app.reporting import Reporting
from mailstack.app.seeing import Seeing
from mailstack.app.sending import Sending
from mailstack.app.settings import Settings
from mailstack.app.sockets import open_sockets
from mailstack.app.surroundings import StartProblem, Surroundings
from mailstack.app.sweeping import Sweeping
from mailstack.app.tls import Tls
from mailstack.app.unwanted import Unwanted
from mailstack.config import Config, ConfigProblem, changed, keep_fixed, load
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.alarm import Alarm
from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.certificate_notice import CertificateNotice
from mailstack.delivery.consequences import Consequences
from mailstack.delivery.events import Events
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.parcels import Parcels
from mailstack.delivery.placing import Placing
from mailstack.delivery.planner import Planner
from mailstack.delivery.runner import QueueRunner
from mailstack.delivery.stopping import Stopper
from mailstack.delivery.webhooks import Webhooks
from mailstack.log import configure, get_logger
from mailstack.net.listen import ListeningSocket
from mailstack.net.tls import TlsProblem, client_context
from mailstack.policy.authentication import Authenticator
from mailstack.policy.certificates import ClientCertificates
from mailstack.policy.clients import client_settings
from mailstack.policy.inbound import InboundPolicy, Recipients
from mailstack.policy.limits import Limits
from mailstack.policy.login import Logins
from mailstack.policy.milters import INBOUND, SUBMISSION, Milters
from mailstack.policy.origin import Origins
from mailstack.policy.routing import Router
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.tokens import Tokens
from mailstack.store.lock import become_owner
from mailstack.store.users.passwords import PasswordChecker

log = get_logger()
SIEVE_PORT = 4190  # RFC 5804 1.8
RUNNER_STOP_SECONDS = 3.0  # for deliveries under way


class Appliance:
    """The server: start(), then stop()."""

    def __init__(self, config: Config, surroundings: Surroundings | None = None, path: str | None = None) -> None:
        """`path`: where the settings come from."""
        self.config = config
        self._path = path
        self.data = Data(config, surroundings, serves=True)
        self.ports: dict[str, list[int]] = {}
        self.tls: Tls | None = None
        self._sockets: dict[str, list[ListeningSocket]] = {}

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
        self._sockets = open_sockets(config, undo)
        self.ports = {name: [one.getsockname()[1] for one in sockets] for name, sockets in self._sockets.items()}
        data.clients = client_settings(config, self.ports)
        # The ports are open and the files are read: root is of no more use.
        become_owner(data.path)
        undo.push_async_callback(data.close)
        await data.open()
        if config.tls.mode != "off":
            self.tls = await Tls.open(data, settings.tls, self._sockets)
        self.passwords = PasswordChecker(data.directory, scram=data.scram, wall=clock)
        undo.callback(self.passwords.close)
        limits = self._limits = Limits(settings.connections_per_address, data.nat, connections=settings.connections)
        logins = self._logins = Logins(
            data.directory, self.passwords, data.scram, limits, self._tokens(settings), data.devices, data.bans, clock=clock
        )
        logins.book = data.logins
        self.seeing = Seeing(data, settings.seeing, limits, logins, self._path)
        await self._use_client_certificates(settings)
        data.directory.on_bound.append(self._trust)
        data.bans.limits = limits
        secret = await data.directory.setting("srs-secret")
        router = self._router = Router(data.directory, settings.postmaster, secret, clock)
        data.directory.message_quota = settings.messages
        recipients = self._recipients = Recipients(router, data.directory, data.mailboxes, settings.recipients)
        authenticator = Authenticator(data.resolver, data.suffixes, config.hostname, clock)
        origins = self._origins = Origins(authenticator, data.directory, data.trace, config.hostname, settings.authentication)
        unwanted = self._unwanted = Unwanted(data, data.resolver, limits, settings)
        filters = self._filters = [
            Milters(config.hostname, data.trace, offers, one)
            for offers, one in zip((INBOUND, SUBMISSION), settings.milters, strict=True)
        ]
        inbound = InboundPolicy(recipients, unwanted.judge, origins, filters[0])
        submission = SubmissionPolicy(
            recipients, data.directory, config.hostname, clock, randomness, data.sending, data.senders, filters[1]
        )

        planner = self._planner = Planner(data.directory, data.mailboxes, data.rules)
        self._use_rules(settings)
        placing = Placing(data.directory, data.mailboxes, planner)
        parcels = Parcels(router, data.directory, config.hostname, clock, randomness, data.leaving)
        acceptor = Acceptor(router, placing, parcels, data.queue, data.trace, clock, randomness)
        bouncer = Bouncer(data.queue, config.hostname, acceptor.submit, randomness, data.trace)
        acceptor.bouncer = bouncer
        self.sending = Sending(data, settings)
        recipients.passing = self.sending.passing
        self.reporting = Reporting(data, acceptor, origins, settings)
        alarm = Alarm(acceptor.submit, self.reporting.sender, config.hostname, clock, randomness)
        webhooks = data.webhooks = Webhooks(data.hooks, data.trace, client_context(verify=True), clock)

        async def tell(subject: str, text: str) -> None:
            """The postmaster, and the hooks that want to hear it."""
            webhooks.alarm(subject, text)
            await alarm.tell(subject, text)

        self.backing_up = BackingUp(data.backups, settings.backup, clock, tell)
        local = LocalDelivery(router, data.directory, placing, parcels, data.queue, data.trace)
        self.runner = QueueRunner(
            data.queue,
            self.sending.remote,
            local.deliver,
            router.is_local,
            bouncer,
            data.trace,
            settings.schedule,
            randomness,
            clock,
        )

        stopper = Stopper(
            data.keeper, data.sending, data.directory, data.mailboxes, acceptor.submit, config.hostname, clock, randomness
        )
        data.sending.on_stopped = stopper.stopped
        self.runner.holds, self.runner.on_outcome = stopper.holds, stopper.outcome
        await stopper.start()
        consequences = Consequences(data.rules, router, parcels, data.queue, data.sending, data.trace, config.hostname, clock)
        events = Events(data.rules, consequences, clock, randomness)
        url = _sieve_url(config.hostname, self.ports.get("managesieve"))
        self.seeing.tell = tell
        behind = Behind(
            data,
            logins,
            limits,
            inbound,
            submission,
            acceptor,
            self.runner,
            unwanted,
            events,
            url,
            self.tls,
            self.seeing,
            self.ports,
        )
        self.doors = Doors(behind, settings)
        undo.push_async_callback(webhooks.stop)
        await webhooks.start()
        undo.push_async_callback(self.sending.stop)
        await self.sending.start()
        undo.push_async_callback(self.reporting.stop)
        self.reporting.start()
        undo.push_async_callback(self.runner.stop)
        await self.runner.start()
        undo.push_async_callback(unwanted.close)
        unwanted.start()
        self.sweeping = Sweeping(
            data.path / "mail", data.surroundings.disk, data.mailboxes.keep_deleted, clock, lambda: data.selftests.well
        )
        undo.push_async_callback(self.sweeping.stop)
        self.sweeping.start()
        undo.push_async_callback(self.backing_up.stop)
        self.backing_up.start()
        await self.doors.open(self._sockets)
        undo.push_async_callback(self.seeing.stop)
        self.seeing.start()
        if self.tls is not None:
            self.seeing.more_gauges.append(self.tls.gauges)
            self.tls.proof.on_expiring.append(CertificateNotice(tell, config.hostname).tell)
            undo.push_async_callback(self.tls.stop)
            self.tls.start()

    def _tokens(self, settings: Settings) -> Tokens | None:
        if settings.oauth is None:
            return None
        return Tokens(settings.oauth, client_context(verify=True), self.data.surroundings.clock)

    async def _use_client_certificates(self, settings: Settings) -> None:
        """People are asked for theirs, or not; those that are bound are good, and what the authorities signed."""
        certificates = self.tls.certificates if self.tls is not None else None
        on = settings.client_certificates and certificates is not None
        self._logins.certificates = ClientCertificates(self.data.directory, settings.authorities) if on else None
        if certificates is not None:
            certificates.ask_people(ask=on)
            for pem in await self.data.directory.bound_certificates() if on else []:
                certificates.trust(pem)
            if on and settings.authorities is not None:
                certificates.trust(settings.authorities.pem)

    def _trust(self, pem: str) -> None:
        if self.tls is not None:
            self.tls.certificates.trust(pem)

    # While it runs --------------------------------------------------------------------------------------------------

    async def reload(self, path: str | None) -> None:
        """SIGHUP: settings, certificates and DKIM keys from their files. What is wrong changes nothing."""
        try:
            asked = await asyncio.to_thread(load, path)
            config = keep_fixed(self.config, asked)
            settings = await asyncio.to_thread(Settings.of, config)
            chains = await self.tls.prepare(settings.tls) if self.tls is not None else ()
        except (ConfigProblem, StartProblem, TlsProblem, OSError) as problem:
            log.error("reload.refused", file=path, problem=str(problem))
            return
        differs, done = changed(self.config, asked), changed(self.config, config)
        self.config = self.data.config = config
        self.data.clients = client_settings(config, self.ports)
        self._use(settings)
        if self.tls is not None:
            await self.tls.use(settings.tls, chains)
        await self._use_client_certificates(settings)
        configure(config.log.format, config.log.level)
        log.info("reloaded", changed=done, needs_restart=[key for key in differs if key not in done])

    def _use(self, settings: Settings) -> None:
        """Put settings to use."""
        self.doors.use(settings)
        self.data.sharing.anyone = settings.share_with_anyone
        self.data.scram.mode = settings.scram
        if self._logins.tokens is None or self._logins.tokens.settings != settings.oauth:
            self._logins.tokens = self._tokens(settings)
        self._limits.per_address = settings.connections_per_address
        self._limits.connections = settings.connections
        self.data.bans.settings = settings.bans
        self.data.sending.use(settings.allowances)
        self._unwanted.use(self.config, settings)
        for filters, milters in zip(self._filters, settings.milters, strict=True):
            filters.settings = milters
        self._recipients.limit = settings.recipients
        self.data.directory.message_quota = settings.messages
        self._router.postmaster = settings.postmaster
        self._origins.settings = settings.authentication
        self.sending.use(settings)
        self.reporting.use(settings)
        self.backing_up.settings = settings.backup
        keep = self.data.mailboxes.keep_deleted
        keep.seconds, keep.octets = settings.keep_deleted.seconds, settings.keep_deleted.octets
        self.seeing.use(settings.seeing)
        self.runner.schedule = settings.schedule
        self._use_rules(settings)
        self.data.scripts.forget()

    def _use_rules(self, settings: Settings) -> None:
        self._planner.subaddress = settings.subaddress
        self.data.scripts.limits = settings.scripts
        self.data.scripts.language = replace(self.data.scripts.language, redirects=settings.redirects)

    async def stop(self) -> None:
        """Answer what is under way, then close everything. At most some ten seconds."""
        log.info("stopping")
        await self.seeing.stop()
        await self.backing_up.stop()
        if self.tls is not None:
            await self.tls.stop()
        await self.sweeping.stop()
        await self.doors.stop()
        await self.reporting.stop()
        await self.sending.stop()
        await self.runner.stop(RUNNER_STOP_SECONDS)
        await self.data.sending.settled()
        await self._unwanted.close()
        if self.data.webhooks is not None:
            await self.data.webhooks.stop()
        self.passwords.close()
        await self.data.close()


def _sieve_url(hostname: str, ports: list[int] | None) -> str | None:
    """Where scripts are put (RFC 5804 3); None without that door."""
    if not ports:
        return None
    return f"sieve://{hostname}" if SIEVE_PORT in ports else f"sieve://{hostname}:{ports[0]}"
