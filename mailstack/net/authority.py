"""Asking those who hold a zone, and no cache between: what they say now is what all will see."""

import asyncio

import dns.rdatatype

from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

SERVERS = 4  # name servers of one zone that are asked
SECONDS = 8.0  # for one question


class Authority:
    """For one look at the DNS: what was found out of zones and their name servers is kept as long as this lives.

    `servers` ("address" or "address:port") are asked instead of those that the zones name; `port` is theirs.
    """

    def __init__(self, resolver: Resolver, servers: list[str] | None = None, port: int = 53) -> None:
        self._resolver = resolver
        self._given = Resolver(servers, lifetime=SECONDS, timeout=3.0) if servers else None
        self._port = port
        self._asked: dict[str, asyncio.Task[tuple[str, Resolver]]] = {}

    async def zone(self, name: str) -> str:
        """The zone that a name is in: the next name above it that has a SOA record. Raises NoSuchDomain, DnsTemporary."""
        asking = self._given or self._resolver
        labels = name.rstrip(".").split(".")
        for place in range(len(labels)):
            above = ".".join(labels[place:])
            try:
                answer = await asking.ask(above, dns.rdatatype.SOA)
            except NoSuchDomain:
                continue
            if str(answer.rrset.name).rstrip(".").lower() == above.lower():  # type: ignore[union-attr]
                return above
        raise NoSuchDomain(name)

    async def resolver(self, name: str) -> Resolver:
        """One that asks the name servers of the name's zone. Raises NoSuchDomain, DnsTemporary."""
        if self._given is not None:
            return self._given
        zone = await self.zone(name)
        task = self._asked.get(zone)
        if task is None:
            task = self._asked[zone] = asyncio.get_running_loop().create_task(self._holders(zone))
        return (await asyncio.shield(task))[1]

    async def _holders(self, zone: str) -> tuple[str, Resolver]:
        names = [str(one.target).rstrip(".") for one in await self._resolver.ask(zone, dns.rdatatype.NS)]
        addresses: list[str] = []
        for name in sorted(names)[:SERVERS]:
            try:
                addresses += await self._resolver.addresses(name, ipv6=False)
            except (NoSuchDomain, DnsTemporary):
                continue
        if not addresses:
            raise DnsTemporary(f"{zone} NS: no name server of it has an address")
        servers = [f"{address}:{self._port}" for address in addresses]
        return zone, Resolver(servers, lifetime=SECONDS, timeout=3.0)
