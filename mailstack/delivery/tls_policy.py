"""What TLS must be with each host of a domain, and what is remembered of how it was."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.delivery.sts import StsPolicies
from mailstack.log import get_logger
from mailstack.message.envelope import TlsWish
from mailstack.net.dns import DnsTemporary
from mailstack.net.dnssec import Dnssec
from mailstack.policy.transport import LEVEL_NAMES, Level, PolicyKind, Refusal, TlsaFound, TlsPolicy, decide
from mailstack.store.errors import StoreProblem
from mailstack.store.transport import DAY, KeptLevel, SessionResult, TransportStore
from mailstack.wire.mta_sts import StsPolicy

log = get_logger()
REMEMBERED = 30 * DAY  # a level that was not seen for so long is the domain's no more
REASON_LIMIT = 200


@dataclass(slots=True)
class DomainTls:
    """What is known of a domain before its hosts are asked."""

    domain: str
    sts: StsPolicy | None
    secure_mx: bool
    best: Level
    wish: TlsWish


class TlsPolicies:
    """One for the server. `keeps`: a domain that had TLS gets no mail in the clear; `uses_sts`: MTA-STS is asked for."""

    def __init__(
        self,
        store: TransportStore,
        sts: StsPolicies,
        dnssec: Dnssec,
        clock: Callable[[], float],
        *,
        keeps: bool = False,
        uses_sts: bool = True,
    ) -> None:
        self._store = store
        self._sts = sts
        self._dnssec = dnssec
        self._clock = clock
        self.keeps = keeps
        self.uses_sts = uses_sts

    async def domain(self, domain: str, wish: TlsWish) -> DomainTls:
        sts, failed = (await self._sts.of(domain)) if self.uses_sts else (None, None)
        if failed is not None:
            self._count(domain, TlsPolicy(PolicyKind.STS), sts, "", "", failed)
        return DomainTls(domain, sts, await self._dnssec.secure_mx(domain), self.best(domain), wish)

    async def host(self, about: DomainTls, host: str, port: int) -> TlsPolicy:
        """What must hold for one host."""
        tlsa = await self._tlsa(about, host, port) if about.secure_mx and about.wish is not TlsWish.OPTIONAL else None
        return decide(
            host,
            sts=about.sts,
            tlsa=tlsa,
            wish=about.wish,
            best=about.best,
            keeps=self.keeps,
            secure_mx=about.secure_mx,
        )

    async def _tlsa(self, about: DomainTls, host: str, port: int) -> TlsaFound:
        """RFC 7672 2.2: only where the addresses are vouched for; under the name that aliases lead to, else under its own."""
        try:
            found = await self._dnssec.host(host)
            if not found.secure:
                return TlsaFound()
            for name in dict.fromkeys((found.name, host)):
                records = await self._dnssec.tlsa(name, port)
                if records:
                    return TlsaFound(records, names=tuple(dict.fromkeys((name, host, about.domain))))
        except DnsTemporary:
            return TlsaFound(failed=True)
        return TlsaFound()

    # What it came to ------------------------------------------------------------------------------------------------

    def best(self, domain: str) -> Level:
        """The level that a domain is known to have."""
        kept = self._store.levels.get(domain)
        return Level(kept.level) if kept is not None and kept.seen + REMEMBERED > self._clock() else Level.CLEAR

    async def reached(self, about: DomainTls, policy: TlsPolicy, host: str, address: str, level: Level) -> str | None:
        """A connection stands at a level. What is worse than it was, None if nothing is."""
        if about.wish is not TlsWish.OPTIONAL:
            self._count(about.domain, policy, about.sts, host, address, policy.noted)
        now, best = self._clock(), about.best
        try:
            kept = self._store.levels.get(about.domain)
            if level >= best and level > Level.CLEAR and (kept is None or kept.level != level or now - kept.seen > DAY / 24):
                await self._store.keep_level(about.domain, KeptLevel(level, now))
        except StoreProblem as problem:
            log.error("tls.not_kept", domain=about.domain, problem=problem.detail)
        return self.tolerated(about, host, level)

    def tolerated(self, about: DomainTls, host: str, level: Level) -> str | None:
        """What is worse than it was, in a word for the trace; None if nothing is."""
        best = about.best
        if level >= best or about.wish is TlsWish.OPTIONAL:
            return None
        text = f"{host} gives TLS of level {LEVEL_NAMES[level]!r}; {about.domain} had {LEVEL_NAMES[best]!r} before"
        log.warning("tls.downgrade", domain=about.domain, host=host, level=LEVEL_NAMES[level], before=LEVEL_NAMES[best])
        return text

    def failed(self, about: DomainTls, policy: TlsPolicy, host: str, address: str, refusal: Refusal) -> None:
        """A connection that is not as the policy asks."""
        say = log.warning if policy.why else log.info
        say("tls.failed", domain=about.domain, host=host, policy=policy.kind.value, problem=refusal.text)
        if about.wish is not TlsWish.OPTIONAL:
            self._count(about.domain, policy, about.sts, host, address, refusal)

    def _count(
        self, domain: str, policy: TlsPolicy, sts: StsPolicy | None, host: str, address: str, refusal: Refusal | None
    ) -> None:
        lines: list[str] = []
        hosts: tuple[str, ...] = ()
        if policy.kind is PolicyKind.TLSA:
            lines = [str(record) for record in policy.records]
        elif policy.kind is PolicyKind.STS and sts is not None:
            lines, hosts = str(sts).splitlines(), sts.hosts
        failure = refusal.kind.value if refusal is not None and refusal.kind is not None else ""
        reason = refusal.text[:REASON_LIMIT] if refusal is not None and failure else ""
        where = (host, address) if failure else ("", "")
        result = SessionResult(domain, policy.kind.value, json.dumps(lines), json.dumps(hosts), failure, *where, reason)
        self._store.count(result, self._clock())
