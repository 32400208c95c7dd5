"""This server's own certificates: from where they come in each mode, who keeps them fresh, and the proof of what is served."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from mailstack.app.data import Data
from mailstack.app.surroundings import StartProblem
from mailstack.app.tls_settings import TlsSettings
from mailstack.certificates.around import Around
from mailstack.certificates.controls import ByHandshake, ByHttp, ByRecord
from mailstack.certificates.keeper import Keeper
from mailstack.certificates.names import Names
from mailstack.certificates.proof import Proof
from mailstack.certificates.watch import Watch, signature
from mailstack.config import TLS_SERVICES, Config
from mailstack.control.operations import Operation
from mailstack.control.own_tls import OwnTlsOperations
from mailstack.log import get_logger
from mailstack.metrics import Gauge
from mailstack.net.handshake import STARTTLS, Listener
from mailstack.net.listen import ListeningSocket
from mailstack.net.tls import Certificates, Chain, Chains, TlsProblem, names_of
from mailstack.net.trial_ca import TrialFiles
from mailstack.net.vouching import vouched_names

log = get_logger()
ANY = {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}  # where a listener for all addresses is reached from here


class Tls:
    """start(), then stop(); prepare() and use() when settings change. Without TLS there is none of this."""

    def __init__(
        self, data: Data, settings: TlsSettings, chains: Sequence[Chain], sockets: Mapping[str, Sequence[ListeningSocket]]
    ) -> None:
        self._data = data
        self._settings = settings
        self._domains: frozenset[str] = frozenset()
        self._vouched: frozenset[str] = frozenset()
        self.certificates = Certificates(chains)
        self.sources = data.sources
        self.by_http = ByHttp()
        self.watch = Watch(self._files_changed)
        clock = data.surroundings.clock
        doors = listeners(data.config, sockets)
        self.proof = Proof(doors, lambda: self.certificates.chains, self._wanted, self._refresh, clock)
        self.keeper = self._keeper(settings)

    @classmethod
    async def open(cls, data: Data, settings: TlsSettings, sockets: Mapping[str, Sequence[ListeningSocket]]) -> "Tls":
        """Raises StartProblem."""
        sources, domains = data.sources, await _domains(data, settings)
        watched = sources.watched(settings.pair)
        seen = await asyncio.to_thread(signature, watched)
        try:
            chains = await asyncio.to_thread(sources.load, settings.mode, settings.pair, domains)
        except TlsProblem as problem:
            raise StartProblem(f"tls.mode: {problem}") from problem
        except OSError as problem:
            raise StartProblem(f"data_dir: {problem.filename}: {problem.strerror}") from problem
        tls = cls(data, settings, chains, sockets)
        tls._domains = domains
        tls.watch.use(watched, seen)
        return tls

    def _keeper(self, settings: TlsSettings) -> Keeper | None:
        if settings.acme is None:
            return None
        data, surroundings = self._data, self._data.surroundings
        around = Around(
            files=self.sources.files,
            names=Names(data.resolver, data.directory.domains, data.config.hostname),
            by_http=self.by_http,
            by_handshake=ByHandshake(self.certificates, self.sources.folder, surroundings.clock),
            by_record=lambda acme: ByRecord(data.resolver, acme),
            changed=self._obtained,
            clock=surroundings.clock,
            randomness=surroundings.randomness,
        )
        return Keeper(settings.acme, around)

    def start(self) -> None:
        """Once the doors are open."""
        self.watch.start()
        self.proof.start()
        if self.keeper is not None:
            self.keeper.start()
            # Somebody who adds a domain waits for its certificate.
            self._data.directory.on_domains.append(self.keeper.look_soon)

    async def stop(self) -> None:
        await self.watch.stop()
        await self.proof.stop()
        if self.keeper is not None:
            await self.keeper.stop()

    def gauges(self) -> Iterator[Gauge]:
        """Of what the last handshakes saw."""
        found = self.proof.found
        ends = {
            one.certificate: one.certificate.not_valid_after_utc.timestamp() for one in found if one.certificate is not None
        }
        values = tuple(((("names", " ".join(names_of(leaf))),), moment) for leaf, moment in ends.items())
        yield Gauge("mailstack_certificate_end_timestamp_seconds", "When a certificate that is served ends", values)
        wrong = sum(one.problem is not None for one in found)
        yield Gauge("mailstack_certificates_wrong", "Handshakes that saw another certificate, or none", (((), float(wrong)),))

    def operations(self) -> dict[str, Operation]:
        pair = lambda: self._settings.pair  # noqa: E731 - it may change
        return OwnTlsOperations(self.sources, self._settings.mode, pair, self.proof, self.keeper).table()

    async def prepare(self, settings: TlsSettings) -> list[Chain]:
        """What these settings would serve. Raises TlsProblem, OSError."""
        self._domains = await _domains(self._data, settings)
        return await asyncio.to_thread(self.sources.load, settings.mode, settings.pair, self._domains)

    async def use(self, settings: TlsSettings, chains: Sequence[Chain]) -> None:
        self._settings = settings
        watched = self.sources.watched(settings.pair)
        self.watch.use(watched, await asyncio.to_thread(signature, watched))
        self.certificates.use(chains)
        if self.keeper is not None and settings.acme is not None:
            self.keeper.settings = settings.acme
            self.keeper.look_soon()
        self.proof.look_soon()

    async def authority(self) -> str | None:
        """Our own authority's certificate, where it is the one that vouches for what is served."""
        if self._settings.mode != "self-signed":
            return None
        return await asyncio.to_thread(self.sources.authority)

    def hsts(self, host: str) -> int | None:
        """For how many seconds browsers may be told to come by https alone: where a public authority vouches for the name."""
        return self._settings.hsts if host in self._vouched else None

    def _wanted(self) -> Chains:
        return Chains(self.sources.load(self._settings.mode, self._settings.pair, self._domains))

    async def _files_changed(self) -> None:
        """A pair that is not whole yet changes again when it is."""
        settings = self._settings
        try:
            chains = await self.prepare(settings)
        except (TlsProblem, OSError) as problem:
            log.warning("tls.files_unusable", problem=str(problem), served="what was served before")
            return
        if settings is self._settings:
            self.certificates.use(chains)
            log.info("tls.files_taken", names=chains[0].names, not_after=chains[0].leaf.not_valid_after_utc.isoformat())
            self.proof.look_soon()

    async def _refresh(self) -> None:
        """Our own authority's certificate is made anew in time; who vouches for what is served is looked at."""
        if self._settings.pair is None:
            try:
                self.certificates.use(await self.prepare(self._settings))
            except (TlsProblem, OSError) as problem:
                log.error("tls.files_unusable", problem=str(problem))
        own = TrialFiles(self.sources.folder).certificate  # nobody is held to it, though this system may trust it
        chains = [chain for chain in self.certificates.chains.all if chain.pair[0] != own]
        self._vouched = await asyncio.to_thread(vouched_names, chains) if chains else frozenset()

    async def _obtained(self) -> None:
        self.certificates.use(await self.prepare(self._settings))
        self.proof.look_soon()


def listeners(config: Config, sockets: Mapping[str, Sequence[ListeningSocket]]) -> list[Listener]:
    """Every socket on which TLS is spoken."""
    found = []
    for service, some in sockets.items():
        if service in TLS_SERVICES or service in STARTTLS:
            for one in some:
                address, port = one.getsockname()[:2]
                proxied = service in config.proxy.listeners
                found.append(Listener(service, ANY.get(address, address), port, service in TLS_SERVICES, proxied))
    return found


async def _domains(data: Data, settings: TlsSettings) -> frozenset[str]:
    """Those that have certificates of their own."""
    given = settings.acme is not None and settings.acme.names
    return frozenset() if given else await data.directory.domains()
