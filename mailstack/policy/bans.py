"""Who may not try to log in any more, by address and network. Rule: nobody is shut out by what others do beside him.

Failures of one client (an IPv4 address, an IPv6 /64) fill a bucket that empties with time; when it is full, the client is
banned, each time for longer. When many clients of one network (/24, /48) fail, the network is. Nothing is counted against an
address where somebody is logged in, against this machine and its gateway, or against one from which others have logged in of
late: it is a gateway that many share, and `Limits` slows the pair of address and account there.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mailstack.log import get_logger
from mailstack.policy.limits import Limits
from mailstack.policy.networks import CLIENT_BITS, NEIGHBOUR_BITS, SINGLE_BITS, Network, client_of, network_of
from mailstack.store.users.bans import Ban, BanTable

log = get_logger()
FACTOR = 4  # each ban is so much longer than the one before
GOOD_SECONDS = 86400.0  # how long a login speaks for the address it came from
NETWORK_FAILURES = 3  # of a client, until it counts against its network
REMEMBERED = 20_000  # clients
BANS_LIMIT = 50_000
GUESSES_LIMIT = 64  # of one client that are told apart
ACCOUNTS_LIMIT = 32  # that speak for one address
NAMES_SHOWN = 5
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class BanSettings:
    failures: int = 20  # within `window`, for one client; 0: nobody is banned
    clients: int = 8  # of one network
    window: float = 3600.0  # seconds
    first: float = 600.0
    longest: float = 7 * 86400.0
    exempt: tuple[Network, ...] = ()


@dataclass(slots=True)
class _Client:
    """How full its bucket was at a moment, what it tried since then, and how often in all."""

    filled: float = 0.0
    moment: float = 0.0
    failures: int = 0
    guesses: set[bytes] = field(default_factory=set)
    users: list[str] = field(default_factory=list)


class Bans:
    """One for the server, on the event loop. `limits` is given before a door opens."""

    def __init__(self, table: BanTable, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._clock = clock
        self.settings = BanSettings()
        self.limits: Limits | None = None
        self._bans: dict[Network, Ban] = {}
        self._lengths: set[int] = set()  # of prefixes that are in use
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._networks: OrderedDict[Network, dict[str, float]] = OrderedDict()
        self._good: OrderedDict[str, dict[str, float]] = OrderedDict()

    async def start(self) -> None:
        for ban in await self._table.load(self._clock() - self.settings.longest):
            self._put(ipaddress.ip_network(ban.network), ban)

    # Asking ---------------------------------------------------------------------------------------------------------

    def refuses(self, peer: str) -> bool:
        """Whether a client may not try to log in."""
        if not self._bans or self._exempt(peer):
            return False
        # A network's failures are not those of all its members; an admin means all.
        return any(
            ban.failures == 0 or network.prefixlen >= CLIENT_BITS[network.version] or not self._trusted(peer)
            for network, ban in self._around(peer)
        )

    def _around(self, peer: str) -> Iterator[tuple[Network, Ban]]:
        """The bans that hold for an address."""
        now = self._clock()
        for length in self._lengths:
            network = network_of(peer, {4: min(length, 32), 6: length})
            ban = self._bans.get(network) if network is not None else None
            if network is not None and ban is not None and (ban.until is None or ban.until > now):
                yield network, ban

    def _trusted(self, peer: str) -> bool:
        """Whether somebody is logged in from there, or was of late."""
        return self._lives(peer) or bool(self._recent(client_of(peer)))

    def _exempt(self, peer: str) -> bool:
        """This machine, its gateway, what hides many clients, what an admin named."""
        if self.limits is not None and self.limits.exempt(peer):
            return True
        single = network_of(peer, SINGLE_BITS)
        if single is None:
            return True
        address = single.network_address
        return address.is_loopback or any(address in network for network in self.settings.exempt)

    def _lives(self, peer: str) -> bool:
        return self.limits is not None and self.limits.logged_in(peer)

    # What happens ---------------------------------------------------------------------------------------------------

    def succeeded(self, peer: str, account: str) -> None:
        """Somebody logged in: it speaks for the address for a day."""
        client, now = client_of(peer), self._clock()
        accounts = self._good.pop(client, {})
        accounts[account] = now
        while len(accounts) > ACCOUNTS_LIMIT:
            del accounts[min(accounts, key=accounts.__getitem__)]
        self._good[client] = accounts
        while len(self._good) > REMEMBERED:
            self._good.popitem(last=False)

    def failed(self, peer: str, user: str, guess: bytes | None = None) -> None:
        """A login failed. `guess` stands for what was tried: a device that asks again with its old password is no guesser."""
        if self.settings.failures == 0 or self._exempt(peer) or self._lives(peer) or self._vouched(peer, user):
            return
        name, now = client_of(peer), self._clock()
        client = self._clients.pop(name, None) or _Client()
        self._clients[name] = client
        while len(self._clients) > REMEMBERED:
            self._clients.popitem(last=False)
        client.filled = max(0.0, client.filled - (now - client.moment) * self.settings.failures / self.settings.window)
        if client.filled == 0.0:
            client.guesses.clear()
            client.users.clear()
        client.moment = now
        if guess is not None and guess in client.guesses:
            return
        if guess is not None and len(client.guesses) < GUESSES_LIMIT:
            client.guesses.add(guess)
        if user not in client.users and len(client.users) < NAMES_SHOWN:
            client.users.append(user[:100])
        client.filled += 1.0
        client.failures += 1
        if client.filled > self.settings.failures - 0.5:  # what leaked out between them is no failure less
            self._ban(network_of(peer, CLIENT_BITS), client.failures, client.users, "failed logins")
            del self._clients[name]
        if client.failures >= NETWORK_FAILURES:
            self._neighbours(peer, name, now, client.users)

    def _vouched(self, peer: str, user: str) -> bool:
        """Whether others have logged in from there of late."""
        return any(account != user.casefold() for account in self._recent(client_of(peer)))

    def _recent(self, client: str) -> list[str]:
        """The accounts that logged in from there within the last day."""
        since = self._clock() - GOOD_SECONDS
        return [account for account, moment in self._good.get(client, {}).items() if moment >= since]

    def _neighbours(self, peer: str, name: str, now: float, users: list[str]) -> None:
        network = network_of(peer, NEIGHBOUR_BITS)
        assert network is not None
        clients = self._networks.pop(network, {})
        clients[name] = now
        since = now - self.settings.window
        clients = {one: moment for one, moment in clients.items() if moment >= since}
        self._networks[network] = clients
        while len(self._networks) > REMEMBERED:
            self._networks.popitem(last=False)
        if len(clients) >= self.settings.clients:
            self._ban(network, len(clients) * NETWORK_FAILURES, users, f"failed logins from {len(clients)} addresses")
            del self._networks[network]

    def _ban(self, network: Network | None, failures: int, users: list[str], reason: str) -> None:
        assert network is not None
        now, before = self._clock(), self._bans.get(network)
        if before is not None and (before.until is None or before.until > now):
            return
        # One that ended so long ago counts no more.
        lately = before is not None and before.until is not None and before.until + self.settings.longest > now
        level = before.level + 1 if before is not None and lately else 0
        seconds = min(self.settings.longest, self.settings.first * float(FACTOR) ** min(level, 20))
        ban = Ban(str(network), now, now + seconds, level, reason, failures)
        log.warning(
            "login.banned", network=ban.network, seconds=round(seconds), failures=failures, users=users, reason=reason,
            again=level,
        )  # fmt: skip
        self._put(network, ban)
        self._table.save(ban)

    # An admin -------------------------------------------------------------------------------------------------------

    async def add(self, network: Network, seconds: float | None, reason: str) -> Ban:
        """Durable when it returns. Raises ValueError where it would shut out this machine."""
        if any(one.version == network.version and one.overlaps(network) for one in _LOOPBACK):
            raise ValueError("this machine itself is never banned")
        now = self._clock()
        ban = Ban(str(network), now, now + seconds if seconds is not None else None, 0, reason)
        self._put(network, ban)
        self._table.save(ban)
        log.info("login.banned", network=ban.network, seconds=seconds, failures=0, users=[], reason=reason, again=0)
        await self._table.flush()
        return ban

    async def remove(self, network: Network) -> list[Ban]:
        """Lift what bans all or a part of a network; what was counted against it is forgotten, too."""
        found = [one for one in self._bans if one.version == network.version and one.overlaps(network)]
        lifted = [self._bans.pop(one) for one in found]
        for ban in lifted:
            self._table.remove(ban.network)
            log.info("login.ban_lifted", network=ban.network)
        for name in [name for name in self._clients if _within(name, network)]:
            del self._clients[name]
        for one in [one for one in self._networks if one.version == network.version and one.overlaps(network)]:
            del self._networks[one]
        self._measure()
        await self._table.flush()
        now = self._clock()
        return [ban for ban in lifted if ban.until is None or ban.until > now]

    def listing(self) -> list[Ban]:
        """Those that hold now, the newest first."""
        now = self._clock()
        return sorted((ban for ban in self._bans.values() if ban.until is None or ban.until > now), key=lambda ban: -ban.since)

    # Keeping --------------------------------------------------------------------------------------------------------

    def _put(self, network: Network, ban: Ban) -> None:
        if len(self._bans) >= BANS_LIMIT and network not in self._bans:
            self._prune()
        self._bans[network] = ban
        self._lengths.add(network.prefixlen)

    def _prune(self) -> None:
        """Forget those that are over for long; if that is not enough, those that end first."""
        now = self._clock()
        ended = now - self.settings.longest
        kept = {network: ban for network, ban in self._bans.items() if ban.until is None or ban.until > ended}
        if len(kept) >= BANS_LIMIT:
            order = sorted(kept, key=lambda network: kept[network].until or float("inf"))
            kept = {network: kept[network] for network in order[BANS_LIMIT // 10 :]}
        for network in self._bans.keys() - kept.keys():
            self._table.remove(str(network))
        self._bans = kept
        self._measure()

    def _measure(self) -> None:
        self._lengths = {network.prefixlen for network in self._bans}


def _within(name: str, network: Network) -> bool:
    try:
        client = ipaddress.ip_network(name)
    except ValueError:
        return False
    return client.version == network.version and client.overlaps(network)
