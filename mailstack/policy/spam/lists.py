"""DNS lists: the peer's address, and the domains of a message, asked for all at once. No answer is no finding."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from mailstack.log import get_logger
from mailstack.mailauth.dnslist import Answer, DnsList, address_name, domain_name, understand
from mailstack.net.dns import DnsTemporary, NoSuchDomain
from mailstack.policy.judgement import Finding

DOMAINS = 10  # of one message
log = get_logger()


class Addresses(Protocol):
    """What of a resolver is needed."""

    async def addresses(self, host: str, *, ipv6: bool = True) -> list[str]: ...


class Lists:
    """Remembers which lists refuse to answer, so that the log says it once."""

    def __init__(self, resolver: Addresses) -> None:
        self._resolver = resolver
        self._refusing: set[str] = set()

    async def ask(
        self, peer: str, by_address: Sequence[DnsList], domains: Iterable[str], by_domain: Sequence[DnsList]
    ) -> list[Finding]:
        """Findings in the order of the lists; a list counts once, however many domains are on it."""
        chosen = list(dict.fromkeys(domain.lower() for domain in domains))[:DOMAINS]
        questions = [(one, peer, address_name(peer, one.zone)) for one in by_address]
        questions += [(one, domain, domain_name(domain, one.zone)) for one in by_domain for domain in chosen]
        asked = [(one, what, name) for one, what, name in questions if name is not None]
        answers = await asyncio.gather(*(self._listed(one, name) for one, _, name in asked))
        found: dict[DnsList, Finding] = {}
        for (one, what, _), listed in zip(asked, answers, strict=True):
            if listed:
                found.setdefault(one, Finding(one.rule, one.weight, f"{what} is on {one.zone}"))
        return list(found.values())

    async def _listed(self, one: DnsList, name: str) -> bool:
        try:
            answers = await self._resolver.addresses(name, ipv6=False)
        except NoSuchDomain:
            return False
        except DnsTemporary as problem:
            log.debug("spam.list_silent", zone=one.zone, problem=str(problem))
            return False
        meaning = understand(answers, one.codes)
        if meaning is Answer.REFUSED and one.zone not in self._refusing:
            self._refusing.add(one.zone)
            log.warning(
                "spam.list_refuses", zone=one.zone, answer=answers[:1], fix="name a resolver of your own in dns.nameservers"
            )
        return meaning is Answer.LISTED
