"""The MTA-STS policies of other domains: fetched, kept, renewed (RFC 8461 3, 5)."""

import asyncio
import ssl
from collections.abc import Callable

from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.policy.transport import Refusal, ResultType
from mailstack.store.errors import StoreProblem
from mailstack.store.transport import KeptPolicy, TransportStore
from mailstack.wire.mta_sts import POLICY_LIMIT, StsPolicy, parse_policy, parse_record

log = get_logger()
ASK_SECONDS = 5.0
PAUSE = 300.0  # after a fetch that failed (RFC 8461 3.3)
RENEW = 86400.0  # a policy that is in use is fetched anew after a day, long before it is over
FAILURES = 1000  # domains whose fetch failed, remembered

Found = tuple[StsPolicy | None, Refusal | None]


class StsPolicies:
    """of() gives what holds for a domain now."""

    def __init__(
        self,
        store: TransportStore,
        resolver: Resolver,
        context: ssl.SSLContext,
        clock: Callable[[], float],
        *,
        port: int = 443,
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._context = context
        self._clock = clock
        self._port = port
        self._failed: dict[str, tuple[float, Refusal]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def of(self, domain: str) -> Found:
        """The policy, None where there is none; and what failed while it was looked for.

        A policy that is kept holds until it is over, whatever the DNS and the web server say (RFC 8461 3.3, 5.1).
        """
        turn = self._turns.setdefault(domain, asyncio.Lock())
        try:
            async with turn:
                return await self._of(domain)
        finally:
            if not turn.locked() and self._turns.get(domain) is turn:
                del self._turns[domain]

    async def _of(self, domain: str) -> Found:
        now = self._clock()
        kept = self._store.policies.get(domain)
        if kept is not None and kept.expires <= now:
            kept = None
        id = await self._id(domain)
        if id is None:
            return self._known(kept), None
        if kept is not None and kept.id == id and now < kept.fetched + RENEW:
            return self._known(kept), None
        failed = self._failed.get(domain)
        if failed is None or now >= failed[0]:
            fetched = await self._fetch(domain, id, now)
            if isinstance(fetched, StsPolicy):
                return fetched, None
            failed = (now + PAUSE, fetched)
            if len(self._failed) >= FAILURES:
                self._failed.clear()
            self._failed[domain] = failed
            log.info("sts.no_policy", domain=domain, problem=fetched.text)
        return self._known(kept), failed[1]

    def _known(self, kept: KeptPolicy | None) -> StsPolicy | None:
        return parse_policy(kept.text.encode()) if kept is not None else None

    async def _id(self, domain: str) -> str | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return parse_record(await self._resolver.txt(f"_mta-sts.{domain}"))
        except (NoSuchDomain, DnsTemporary, TimeoutError):
            return None

    async def _fetch(self, domain: str, id: str, now: float) -> StsPolicy | Refusal:
        host = f"mta-sts.{domain}"
        try:
            addresses = await self._resolver.addresses(host)
            # RFC 8461 3.3: no redirects; the certificate must be that of the name.
            url = (
                f"https://{host}:{self._port}/.well-known/mta-sts.txt"
                if self._port != 443
                else f"https://{host}/.well-known/mta-sts.txt"
            )
            asking = Asking(accept="text/plain", address=addresses[-1], limit=POLICY_LIMIT)
            answer = await ask(url, self._context, asking)
            if answer.status != 200:
                return Refusal(ResultType.STS_FETCH, f"the web server of {host} says {answer.status}")
            if answer.media_type not in ("text/plain", ""):
                return Refusal(ResultType.STS_INVALID, f"the policy of {domain} is no plain text")
            policy = parse_policy(answer.body)
        except (NoSuchDomain, DnsTemporary) as problem:
            return Refusal(ResultType.STS_FETCH, f"the DNS has no address of {host}: {problem}")
        except HttpProblem as problem:
            kind = ResultType.STS_WEBPKI if problem.tls else ResultType.STS_FETCH
            return Refusal(kind, f"the policy can't be had from {host}: {problem}")
        except SyntaxProblem as problem:
            return Refusal(ResultType.STS_INVALID, f"the policy of {domain} is none: {problem.reason}")
        self._failed.pop(domain, None)
        try:
            await self._store.keep_policy(domain, KeptPolicy(id, str(policy), now, now + policy.max_age))
        except StoreProblem as problem:
            log.error("sts.not_kept", domain=domain, problem=problem.detail)
        return policy
