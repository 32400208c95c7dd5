"""Who may connect how often, and how long a wrong password makes one wait. On the event loop."""

import asyncio
import enum
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.policy.nat import Nat
from mailstack.policy.networks import client_of

FREE_FAILURES = 3
LONGEST_WAIT = 15.0  # seconds
REMEMBERED = 20_000
FORGET_AFTER = 3600.0


class Crowd(enum.Enum):
    """Of what there are too many."""

    ADDRESS = "Too many connections from your address"
    ALL = "Too many connections to this server"


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


def default_gateways(route_table: str) -> frozenset[str]:
    """The IPv4 gateways in the text of /proc/net/route: behind Docker's NAT all clients come from there."""
    found = set()
    for line in route_table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 2 and fields[1] == "00000000" and fields[2] != "00000000":
            found.add(str(ipaddress.IPv4Address(bytes.fromhex(fields[2])[::-1])))
    return frozenset(found)


class Limits:
    """Only connections that have not logged in count; a pair of address and account is slowed, never an address.

    An IPv6 client is its /64, in which it may choose addresses as it likes.
    """

    def __init__(
        self,
        per_address: int,
        nat: Nat | None = None,
        clock: Callable[[], float] = time.monotonic,
        connections: int = 10_000,
    ) -> None:
        self.per_address = per_address
        self.connections = connections
        self.open = 0
        self.nat = nat or Nat()
        self._clock = clock
        self._connections: dict[str, int] = {}  # that have not logged in, by client
        self._all: dict[str, int] = {}  # by client
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def exempt(self, peer: str) -> bool:
        if self.nat.hides(peer) or peer == "local":
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return self.nat.hides(str(mapped)) or (mapped or address).is_loopback

    def connected(self, peer: str) -> Crowd | None:
        """Count a connection that has not logged in, or say why it can't stay."""
        if self.open >= self.connections:
            return Crowd.ALL
        client = client_of(peer)
        have = self._connections.get(client, 0)
        if have >= self.per_address and not self.exempt(peer):
            return Crowd.ADDRESS
        self._connections[client] = have + 1
        self._all[client] = self._all.get(client, 0) + 1
        self.open += 1
        return None

    def closed(self, peer: str) -> None:
        """One of those that were let in is gone."""
        self.open -= 1
        _less(self._all, client_of(peer))

    def disconnected(self, peer: str) -> None:
        """It logged in, or left."""
        _less(self._connections, client_of(peer))

    def logged_out(self, peer: str) -> None:
        """One that is connected has no account any more: it stays, but nobody comes in its place."""
        client = client_of(peer)
        self._connections[client] = self._connections.get(client, 0) + 1

    def logged_in(self, peer: str) -> bool:
        """Whether a connection from there is logged in now."""
        client = client_of(peer)
        return self._all.get(client, 0) > self._connections.get(client, 0)

    def delay(self, peer: str, account: str) -> float:
        """Seconds that the pair must wait now."""
        key = _pair(peer, account)
        failures = self._failures.get(key)
        if failures is None or failures.count < FREE_FAILURES:
            return 0.0
        if self._clock() - failures.last > FORGET_AFTER:
            del self._failures[key]
            return 0.0
        wait = min(LONGEST_WAIT, 0.5 * 2.0 ** (failures.count - FREE_FAILURES))
        return max(0.0, failures.last + wait - self._clock())

    async def wait_turn(self, peer: str, account: str) -> None:
        """Make a pair that failed before wait."""
        delay = self.delay(peer, account)
        if delay > 0:
            await asyncio.sleep(delay)

    def failed(self, peer: str, account: str) -> None:
        key = _pair(peer, account)
        failures = self._failures.pop(key, None) or _Failures(0, 0.0)
        failures.count += 1
        failures.last = self._clock()
        self._failures[key] = failures
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, peer: str, account: str) -> None:
        self._failures.pop(_pair(peer, account), None)


def _pair(peer: str, account: str) -> tuple[str, str]:
    return client_of(peer), account.lower()[:320]


def _less(counts: dict[str, int], client: str) -> None:
    have = counts.get(client, 0) - 1
    if have > 0:
        counts[client] = have
    else:
        counts.pop(client, None)
