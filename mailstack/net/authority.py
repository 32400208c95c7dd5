"""Asking those who hold a zone, and no cache between: what they say now is what all will see."""

import asyncio

import dns.rdatatype
import dns.resolver

from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

SERVERS = 4  # name servers of one zone that are asked
SECONDS = 8.0  # for one question
ALIASES = 6  # one after the other that are followed


class Fresh(Resolver):
    """For one look at the DNS: each name is asked of the name servers of its own zone; make a new one for the next look.

    `servers` ("address" or "address:port") are asked of the zones that they hold, instead of those that the zones name;
    `port` is the port of the latter.
    """

    def __init__(self, resolver: Resolver, servers: list[str] | None = None, port: int = 53) -> None:
        super().__init__(["127.0.0.1"])  # which nobody asks: ask() knows better ones
        self._given = Resolver(servers, lifetime=SECONDS, timeout=3.0) if servers else None
        self._ordinary = resolver
        self._zone_port = port
        self._holders: dict[str, asyncio.Task[Resolver]] = {}

    @property
    def who(self) -> str:
        """Who is asked, for people: without the resolver nobody knows the zone's name servers."""
        return self._ordinary.who if self._ordinary.silence.patience is not None else "the name servers of the zone"

    async def ask(self, name: str, kind: dns.rdatatype.RdataType, *, seconds: float | None = None) -> dns.resolver.Answer:
        """As Resolver.ask(); aliases are followed into other zones. Raises NoSuchDomain, DnsTemporary."""
        for _ in range(ALIASES):
            try:
                return await self._asked(name, kind, seconds)
            except NoSuchDomain:
                if kind in (dns.rdatatype.CNAME, dns.rdatatype.SOA):
                    raise
                alias = await self._asked(name, dns.rdatatype.CNAME, seconds)
                name = str(alias[0].target).rstrip(".")
        raise DnsTemporary(f"{name} {kind.name}: aliases without an end")

    async def _asked(self, name: str, kind: dns.rdatatype.RdataType, seconds: float | None) -> dns.resolver.Answer:
        if self._given is not None and await self._holds(self._given, name):
            return await self._given.ask(name, kind, seconds=seconds)
        return await (await self.resolver(name)).ask(name, kind, seconds=seconds)

    async def resolver(self, name: str) -> Resolver:
        """One that asks the name servers of the name's zone. Raises NoSuchDomain, DnsTemporary."""
        zone = await self._zone(name, self._ordinary)
        if zone not in self._holders:
            self._holders[zone] = asyncio.get_running_loop().create_task(self._find_holder(zone))
        return await asyncio.shield(self._holders[zone])

    async def _holds(self, server: Resolver, name: str) -> bool:
        try:
            return bool(await self._zone(name, server))
        except (NoSuchDomain, DnsTemporary):
            return False

    async def zone(self, name: str) -> str:
        """The zone that a name is in, at the servers that are given if there are some. Raises NoSuchDomain, DnsTemporary."""
        return await self._zone(name, self._given or self._ordinary)

    async def _zone(self, name: str, asking: Resolver) -> str:
        """The next name upwards that has a SOA record."""
        labels = name.rstrip(".").split(".")
        for place in range(len(labels)):
            above = ".".join(labels[place:])
            try:
                answer = await asking.ask(above, dns.rdatatype.SOA)
            except NoSuchDomain:
                continue
            if answer.rrset is not None and str(answer.rrset.name).rstrip(".").lower() == above.lower():
                return above
        raise NoSuchDomain(name)

    async def _find_holder(self, zone: str) -> Resolver:
        names = [str(one.target).rstrip(".") for one in await self._ordinary.ask(zone, dns.rdatatype.NS)]
        addresses: list[str] = []
        for name in sorted(names)[:SERVERS]:
            try:
                addresses += await self._ordinary.addresses(name, ipv6=False)
            except (NoSuchDomain, DnsTemporary):
                continue
        if not addresses:
            raise DnsTemporary(f"{zone} NS: no name server of it has an address")
        servers = [f"{address}:{self._zone_port}" for address in addresses]
        return Resolver(servers, lifetime=SECONDS, timeout=3.0)
