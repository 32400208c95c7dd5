"""Which names this server needs certificates for, and which of them lead here."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.looking import side_by_side

# What a domain's other hosts and mail programs ask for by HTTPS: policies of MTA-STS, settings of mail programs.
LABELS = ("mta-sts", "autoconfig", "autodiscover")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One certificate. `name`: what it is called, a host or a domain; `elsewhere`: names that it has not, and why."""

    name: str
    names: tuple[str, ...]
    elsewhere: dict[str, str] = field(default_factory=dict)


class Names:
    """One certificate for the host, and one for each domain: trouble of one domain is no trouble of the others."""

    def __init__(self, resolver: Resolver, domains: Callable[[], Awaitable[Collection[str]]], hostname: str) -> None:
        self._resolver = resolver
        self._domains = domains
        self._hostname = hostname.lower()

    async def wanted(self, settings: AcmeSettings) -> list[Wanted]:
        """The host's own first. One without names is only told of."""
        here, problem = await self._here(settings)
        if problem is not None and settings.controls[:1] != (Control.DNS,):
            return [Wanted(self._hostname, (), {self._hostname: problem})]
        if settings.names:
            return [Wanted(self._hostname, tuple(dict.fromkeys((self._hostname, *settings.names))))]
        found = await side_by_side(lambda domain: self._of_domain(domain, here), sorted(await self._domains()))
        # A host that has the name of a domain has its certificate, too.
        same = next((one for one in found if one.name == self._hostname), Wanted(self._hostname, ()))
        host = Wanted(self._hostname, (self._hostname, *same.names), same.elsewhere)
        return [host, *(one for one in found if one is not same)]

    async def _here(self, settings: AcmeSettings) -> tuple[frozenset[str], str | None]:
        """This host's addresses, and why it has none."""
        if settings.addresses:
            return frozenset(_plain(one) for one in settings.addresses), None
        try:
            return frozenset(_plain(one) for one in await self._resolver.addresses(self._hostname)), None
        except NoSuchDomain:
            return frozenset(), "has no address in the DNS"
        except DnsTemporary as problem:
            return frozenset(), f"the DNS gives no answer: {problem}"

    async def _of_domain(self, domain: str, here: frozenset[str]) -> Wanted:
        names = [name for name in (f"{label}.{domain}" for label in LABELS) if name != self._hostname]
        found = await asyncio.gather(*(self._problem(name, here) for name in names))
        problems = {name: problem for name, problem in zip(names, found, strict=True) if problem is not None}
        return Wanted(domain, tuple(name for name in names if name not in problems), problems)

    async def _problem(self, name: str, here: frozenset[str]) -> str | None:
        """Why a name does not lead here. An authority may take any of its addresses: all must be ours."""
        try:
            found = frozenset(_plain(one) for one in await self._resolver.addresses(name))
        except NoSuchDomain:
            return "is not in the DNS"
        except DnsTemporary as problem:
            return f"the DNS gives no answer: {problem}"
        others = sorted(found - here)
        return f"leads to {', '.join(others)}, not here" if others else None


def _plain(address: str) -> str:
    return str(ipaddress.ip_address(address))
