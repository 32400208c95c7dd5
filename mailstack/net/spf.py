"""SPF (RFC 7208) by spftrace, asked through our own resolver."""

from ipaddress import IPv4Address, IPv6Address

from spftrace import BaseResolver, DnsError, Evaluator, Limits, SpfError, Term
from spftrace.evaluator import valid_domain
from spftrace.macros import MacroContext, expand, truncate_domain

from mailstack.mailauth.results import Result, Spf
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

QUESTIONS = 111  # of one evaluation: ten mechanisms with ten hosts each, and the record
KIND = "spf"  # under which a result is kept


class _Questions(BaseResolver):
    """What spftrace asks, in its words."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.asked: list[tuple[str, str]] = []
        self.by_macro = False  # a text was seen that may mean something else for another sender

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        self.asked.append((name, rtype))
        try:
            values = await self._resolver.plain(name, rtype)
        except NoSuchDomain:
            return "NXDOMAIN", []
        except DnsTemporary:
            return "SERVFAIL", []
        self.by_macro = self.by_macro or (rtype == "TXT" and any("%" in value for value in values))
        return "NOERROR", values


class _Explaining(Evaluator):
    """Explanations may have blanks, %%, %_ and %- in them (RFC 7208 6.2): spftrace shows none of those."""

    async def _explanation(
        self, ip: IPv4Address | IPv6Address, domain: str, sender: str, helo: str, exp_term: Term
    ) -> str | None:
        context = MacroContext(ip, sender, helo, domain, self.receiver, self.session)
        try:
            with self.session.void_exempt():  # 4.6.4: the result is known, a missing text changes nothing
                target = truncate_domain(await expand(exp_term.arg or "", context))
                if not valid_domain(target):
                    return None
                _, texts = await self.session.query(target, "TXT")
                if len(texts) != 1:
                    return None
                return " ".join([await expand(word, context, exp=True) for word in texts[0].split(" ")])
        except (SpfError, DnsError, ValueError):
            return None


def kept_spf(resolver: Resolver, address: str, domain: str) -> Spf | None:
    """What was found before of any sender of a domain, while the answers are good from which it was."""
    found = resolver.kept(f"{address} {domain}", KIND)
    return Spf(Result(found[0]), domain, found[1]) if found else None


async def check_host(resolver: Resolver, address: str, sender: str, helo: str, host: str, *, seconds: float) -> Spf:
    """What the domain of `sender` says of an address (RFC 7208 4): at most ten mechanisms that ask, two answers of nothing.

    `sender` is an address, "postmaster@<HELO>" for HELO's own identity; `host` is this server (%{r}). Never
    raises, whatever the DNS says.
    """
    domain = sender.rpartition("@")[2]
    questions = _Questions(resolver)
    evaluator = _Explaining(questions, Limits(time_limit=seconds, max_queries=QUESTIONS), receiver=host)
    found = await evaluator.evaluate(address, sender, helo)
    result = Result(found.result)
    reason = found.explanation or ""
    if result in (Result.PERMERROR, Result.TEMPERROR):
        reason = next((str(event.data["reason"]) for event in found.trace.events if event.kind == "exit"), "")
    if result is not Result.TEMPERROR and not questions.by_macro:
        resolver.conclude(f"{address} {domain}", KIND, (str(result), reason[:200]), questions.asked)
    return Spf(result, domain, reason[:200])
