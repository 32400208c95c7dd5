"""Where an address leads: into mailboxes here, to other hosts, or nowhere. Aliases are opened, loops end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.message.address import Address, parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.message.srs import reverse
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.mailings import Mailing

DEPTH = 10
AT_ONCE = 500  # members of a list that are looked at between two looks at the event loop


@dataclass(frozen=True, slots=True)
class Local:
    """A mailbox here. `tag`: what stood behind + in the address."""

    account: AccountRecord
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """Another host's. `forwarded`: by an alias, so that it leaves with a sender of ours."""

    address: Address
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class ToList:
    """A mailing list here, and where it leads."""

    mailing: Mailing
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody here has that address."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """The account is switched off."""


Route = Local | Remote | ToList | Unknown | Disabled


def _is_role(address: Address) -> bool:
    """RFC 5321 4.5.1, RFC 2142 4: names that are always answered."""
    return not address.domain or address.local.partition("+")[0].lower() in ("postmaster", "abuse")


class Router:
    """Resolves each address once a transaction."""

    def __init__(self, directory: Directory, postmaster: str, srs_secret: str, clock: Callable[[], float]) -> None:
        self._directory = directory
        self.postmaster = postmaster
        self._secret = srs_secret
        self._clock = clock

    @property
    def srs_secret(self) -> str:
        return self._secret

    async def is_local(self, address: Address) -> bool:
        return not address.domain or await self._directory.is_local_domain(address.domain)

    async def route(self, address: Address) -> tuple[Route, ...]:
        """Where mail for an address goes; never empty."""
        found: dict[object, Route] = {}
        await self._collect(address, found, set(), 0)
        good = [route for route in found.values() if isinstance(route, Local | Remote | ToList)]
        if not good and _is_role(address):
            # An alias that leads nowhere, an account that is switched off: these are answered all the same.
            await self._postmaster_routes(address.key, found, set(), 0)
            good = [route for route in found.values() if isinstance(route, Local | Remote | ToList)]
        return tuple(good or list(found.values())[:1] or [Unknown()])

    async def outside(self, routes: tuple[Route, ...]) -> int:
        """How many addresses elsewhere get a message by these routes: members of lists, and what those lead to, included."""
        found = sum(isinstance(route, Remote) for route in routes)
        lists = [route for route in routes if isinstance(route, ToList)]
        seen, pending = {to.mailing.address for to in lists}, [to.targets for to in lists]
        for targets in pending:
            for place, target in enumerate(map(str.lower, targets)):
                if place % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)
                if not await self._directory.is_local_domain(target.rpartition("@")[2]):
                    found += 1
                elif target not in seen:
                    seen.add(target)
                    pending.append((await self._directory.entry(target)).targets)
        return found

    async def _collect(self, address: Address, found: dict[object, Route], seen: set[str], depth: int) -> None:
        key = address.key if address.domain else "postmaster"
        if key in seen:
            return
        seen.add(key)
        if not await self.is_local(address):
            found.setdefault(key, Remote(address, forwarded=depth > 0))
            return
        if depth > DEPTH:
            return
        local = address.local
        if local[:5].upper() in ("SRS0=", "SRS1="):
            day = int(self._clock() // 86400)
            try:
                found.setdefault(key, Remote(reverse(address, self._secret, day), forwarded=False))
            except SyntaxProblem:
                found.setdefault(key, Unknown())
            return
        name, _, domain = key.rpartition("@")
        base, plus, tag = name.partition("+")
        for candidate in dict.fromkeys((key, f"{base}@{domain}") if plus and base else (key,)):
            entry = await self._directory.entry(candidate)
            if entry.account is not None:
                route: Route = Disabled() if entry.account.disabled else Local(entry.account, tag or None)
                found.setdefault(entry.account.address, route)
                return
            if entry.mailing is not None:
                await self._list(ToList(entry.mailing, entry.targets), key, tag, found, seen, depth)
                return
            if entry.targets:
                await self._targets(entry.targets, found, seen, depth)
                return
        if _is_role(address):
            await self._postmaster_routes(key, found, seen, depth)
            return
        catch_all = await self._directory.entry(f"@{domain}")
        if catch_all.targets:
            await self._targets(catch_all.targets, found, seen, depth)
            return
        found.setdefault(key, Unknown())

    async def _list(self, to: ToList, key: str, tag: str, found: dict[object, Route], seen: set[str], depth: int) -> None:
        """A list is opened when its message is taken over; what its mail brings back is its owner's."""
        if key == to.mailing.address:
            found.setdefault(key, to)
        elif tag not in ("bounces", "owner"):
            found.setdefault(key, Unknown())
        elif to.mailing.owner:
            await self._targets((to.mailing.owner,), found, seen, depth)
        else:
            await self._postmaster_routes(key, found, seen, depth)

    async def _targets(self, targets: tuple[str, ...], found: dict[object, Route], seen: set[str], depth: int) -> None:
        for target in targets:
            try:
                await self._collect(parse_address(target), found, seen, depth + 1)
            except SyntaxProblem:
                continue

    async def _postmaster_routes(self, key: str, found: dict[object, Route], seen: set[str], depth: int) -> None:
        """RFC 5321 4.5.1: postmaster is always answered."""
        if self.postmaster:
            await self._collect(parse_address(self.postmaster), found, seen, depth + 1)
            if any(isinstance(route, Local | Remote | ToList) for route in found.values()):
                return
        for row in await self._directory.accounts():
            record = (await self._directory.entry(row["address"])).account
            if record is not None and not record.disabled:
                found.setdefault(record.address, Local(record))
                return
        found.setdefault(key, Unknown())
