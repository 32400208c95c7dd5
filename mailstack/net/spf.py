"""SPF (RFC 7208) by spftrace, asked through our own resolver."""

from spftrace import BaseResolver, Evaluator, Limits

from mailstack.mailauth.results import Result, Spf
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

QUESTIONS = 111  # of one evaluation: ten mechanisms with ten hosts each, and the record


class _Questions(BaseResolver):
    """What spftrace asks, in its words."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        try:
            return "NOERROR", await self._resolver.plain(name, rtype)
        except NoSuchDomain:
            return "NXDOMAIN", []
        except DnsTemporary:
            return "SERVFAIL", []


async def check_host(resolver: Resolver, address: str, sender: str, helo: str, host: str, *, seconds: float) -> Spf:
    """What the domain of `sender` says of an address (RFC 7208 4): at most ten mechanisms that ask, two answers of nothing.

    `sender` is an address, "postmaster@<HELO>" for HELO's own identity; `host` is this server (%{r}). Never
    raises, whatever the DNS says.
    """
    domain = sender.rpartition("@")[2]
    evaluator = Evaluator(_Questions(resolver), Limits(time_limit=seconds, max_queries=QUESTIONS), receiver=host)
    found = await evaluator.evaluate(address, sender, helo)
    result = Result(found.result)
    reason = found.explanation or ""
    if result in (Result.PERMERROR, Result.TEMPERROR):
        reason = next((str(event.data["reason"]) for event in found.trace.events if event.kind == "exit"), "")
    return Spf(result, domain, reason[:200])
