"""dns.*: what the DNS should say of the domains here, what it says, and changing it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_domain
from mailstack.control.importing import Hop
from mailstack.control.operations import Operation
from mailstack.delivery.rotation import Rotation
from mailstack.mailauth.dkim import dns_record
from mailstack.net.authority import Fresh
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.dns_update import Change, UpdateProblem, Updater
from mailstack.net.looking import patience, side_by_side
from mailstack.records import wanted, zonefile
from mailstack.records.compare import compare_domain, compare_host
from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Row
from mailstack.store.users.directory import Directory


class DnsOperations:
    """`publisher` and `updater` read what the settings say now, in a thread. `zone_port`: of the zones' own name servers."""

    def __init__(
        self,
        directory: Directory,
        rotation: Rotation,
        resolver: Resolver,
        make_keys: Callable[[str], object],
        publisher: Callable[[], Publisher],
        updater: Callable[[], Updater | None],
        hop: Hop,
        zone_port: int = 53,
    ) -> None:
        self._directory = directory
        self._rotation = rotation
        self._resolver = resolver
        self._make_keys = make_keys
        self._publisher = publisher
        self._updater = updater
        self._hop = hop
        self._zone_port = zone_port

    def table(self) -> dict[str, Operation]:
        return {"dns.compare": self.compare, "dns.zone": self.zone, "dns.update": self.update, "dns.records": self.records}

    async def compare(self, arguments: Arguments) -> Any:
        """Rows, the host's first. `fresh`: the zones' own name servers say it, or `servers`; `foreign`: others' records too."""
        domains = await self._domains(arguments)
        publisher = await self._me(arguments)
        rows = await self._compare(domains, publisher, self._asked(arguments), foreign=arguments.get("foreign", True))
        return [{"domain": domain, **asdict(row)} for domain, row in rows]

    async def records(self, arguments: Arguments) -> Any:
        """What is wanted, without a look at what is there."""
        publisher = await self._me(arguments)
        rows = []
        for domain in await self._domains(arguments):
            rows += [asdict(one) for one in wanted.records(domain, publisher, await self._keys(domain))]
        return rows

    async def zone(self, arguments: Arguments) -> Any:
        """Lines for a zone file, a list for each domain, the host's own under its name."""
        publisher = await self._me(arguments)
        rows = await self._compare(await self._domains(arguments), publisher, self._asked(arguments), foreign=False)
        names = dict.fromkeys(domain for domain, _ in rows)
        return {name: zonefile.lines([row for domain, row in rows if domain == name]) for name in names}

    async def update(self, arguments: Arguments) -> Any:
        """Put what is missing or wrong into the zones; `replace`: also in place of what leads elsewhere. What was changed."""
        updater = await self._hop(self._updater)
        if updater is None:
            raise OperationProblem("dns.update_server names no server that takes changes")
        publisher, fresh = await self._me(arguments), Fresh(self._resolver, [updater.server])
        rows = await self._compare(await self._domains(arguments), publisher, fresh, foreign=False)
        changes = zonefile.changes([row for _, row in rows], replace=bool(arguments.get("replace")))
        zones: dict[str, list[Change]] = {}
        for change in changes:
            try:
                zones.setdefault(await fresh.zone(change.name), []).append(change)
            except (NoSuchDomain, DnsTemporary) as problem:
                raise OperationProblem(f"{updater.server} holds no zone for {change.name}: {problem}") from None
        done = []
        for zone, some in zones.items():
            try:
                await updater.change(zone, some)
            except UpdateProblem as problem:
                raise OperationProblem(str(problem)) from None
            done += [{"zone": zone, **asdict(change)} for change in some if change.add or change.remove]
        return done

    async def _me(self, arguments: Arguments) -> Publisher:
        """What this server is; `host` and `addresses`: what it will be."""
        found: Publisher = await self._hop(self._publisher)
        host, addresses = arguments.get("host"), tuple(arguments.get("addresses") or ())
        if not host:
            return replace(found, addresses=addresses) if addresses else found
        return found.called(str(host).lower(), addresses)

    async def _domains(self, arguments: Arguments) -> list[str]:
        if not arguments.get("domain"):
            return sorted(await self._directory.domains())
        name = read_domain(arguments["domain"])
        if not await self._directory.is_local_domain(name):
            raise OperationProblem(f"there is no domain {name}")
        return [name]

    async def _keys(self, domain: str) -> list[Key]:
        await self._hop(self._make_keys, domain)
        return [
            Key(f"{key.selector}._domainkey.{domain}", dns_record(key), entry.state.value, entry.until)
            for entry, key in await self._rotation.keys(domain)
        ]

    def _asked(self, arguments: Arguments) -> Resolver:
        if not (arguments.get("fresh") or arguments.get("servers")):
            return self._resolver
        return Fresh(self._resolver, arguments.get("servers"), self._zone_port)

    async def _compare(
        self, domains: list[str], publisher: Publisher, resolver: Resolver, *, foreign: bool
    ) -> list[tuple[str, Row]]:
        async def look(domain: str | None) -> list[tuple[str, Row]]:
            if domain is None:
                seconds = patience(self._resolver)
                found = await compare_host(publisher, resolver, self._resolver, seconds=seconds)
                return [(publisher.hostname, row) for row in found]
            keys = await self._keys(domain)
            seconds = patience(self._resolver)
            found = await compare_domain(domain, publisher, keys, resolver, foreign=foreign, seconds=seconds)
            return [(domain, row) for row in found]

        return [row for rows in await side_by_side(look, [None, *domains]) for row in rows]
