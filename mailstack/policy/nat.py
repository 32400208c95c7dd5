"""Addresses that hide their clients: a router, or Docker's userland proxy, in whose name everybody seems to come.

What is known of such an address is known of nobody: SPF, blocklists, greylists and bans by address are suspended for it.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from mailstack.log import get_logger
from mailstack.store.hidings import KnownHiding

log = get_logger()
NAMES_WANTED = 3  # distinct hosts and distinct domains, until a private address is taken for many
GATEWAY_NAMES_WANTED = 2  # a router sends no mail of its own
NAMES_KEPT = 5  # of each kind, shown to the admin
ADDRESSES_KEPT = 1000
FORGET_AFTER = 7 * 86400.0  # seconds without mail
KEEP_AGAIN = 86400.0  # seconds after which what is known is kept anew: that it still holds
FIX = (
    'give the server the clients\' addresses: `network_mode: host` for the container, or `"userland-proxy": false` in '
    "/etc/docker/daemon.json, or PROXY protocol from the proxy (section [proxy])"
)
# RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291: addresses that mean something only behind a router.
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)


@dataclass(slots=True)
class _Signs:
    """What was said from one address."""

    last: float
    hosts: list[str] = field(default_factory=list)  # HELO
    domains: list[str] = field(default_factory=list)  # MAIL FROM
    told: bool = False
    kept: float = 0.0  # when it was last written down


@dataclass(frozen=True, slots=True)
class Hiding:
    """An address that hides several clients, and what they called themselves."""

    address: str
    gateway: bool
    hosts: tuple[str, ...]
    domains: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for the admin: what is seen, what is suspended, what mends it."""
        what = "the default gateway" if self.gateway else "a private address"
        return (
            f"clients of different hosts ({', '.join(self.hosts)}) all seem to come from {self.address}, {what}: "
            f"SPF, blocklists and bans by address are suspended for it; {FIX}"
        )


@lru_cache(4096)
def _is_inside(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in _INSIDE)


class Nat:
    """One for the server; on the event loop. Loopback hides nobody: whoever runs a proxy there lets it speak PROXY."""

    def __init__(self, gateways: frozenset[str] = frozenset(), clock: Callable[[], float] = time.time) -> None:
        self._gateways = gateways
        self._clock = clock
        self._signs: OrderedDict[str, _Signs] = OrderedDict()
        self.on_known: Callable[[Sequence[KnownHiding]], None] = lambda _: None  # is to keep all that is known

    def restore(self, found: Iterable[KnownHiding]) -> None:
        """What was known when the server stopped."""
        for one in found:
            if self._may_hide(one.address):
                signs = _Signs(one.last, list(one.hosts[:NAMES_KEPT]), list(one.domains[:NAMES_KEPT]), True, one.last)
                self._signs[one.address] = signs

    def seen(self, peer: str, helo: str, domain: str | None) -> None:
        """A host at port 25 named itself, and the domain it sends for (None: the null sender)."""
        if not self._may_hide(peer):
            return
        signs = self._signs.pop(peer, None)
        now = self._clock()
        if signs is None or now - signs.last > FORGET_AFTER:
            signs = _Signs(now)
        self._signs[peer] = signs
        signs.last = now
        for name, names in ((helo, signs.hosts), (domain or "", signs.domains)):
            name = name.lower()[:255]
            if name and name not in names and len(names) < NAMES_KEPT:
                names.append(name)
        while len(self._signs) > ADDRESSES_KEPT:
            self._signs.popitem(last=False)
        if not signs.told and self._many(peer, signs):
            signs.told = True
            found = self._hiding(peer, signs)
            log.warning("nat.suspected", peer=peer, hosts=found.hosts, domains=found.domains, fix=FIX)
        if signs.told and not signs.kept <= now < signs.kept + KEEP_AGAIN:
            signs.kept = now
            self.on_known(self._known())

    def hides(self, peer: str) -> bool:
        """Whether nothing may be judged by this address: the default gateway, or one that several hosts came from."""
        if peer in self._gateways:
            return True
        signs = self._signs.get(peer)
        return signs is not None and self._many(peer, signs) and self._clock() - signs.last <= FORGET_AFTER

    def hidings(self) -> list[Hiding]:
        """What was seen, for `mailstack check`."""
        many = [(peer, signs) for peer, signs in self._signs.items() if self._many(peer, signs) and self.hides(peer)]
        return [self._hiding(peer, signs) for peer, signs in many]

    def _known(self) -> list[KnownHiding]:
        return [
            KnownHiding(peer, tuple(signs.hosts), tuple(signs.domains), signs.last)
            for peer, signs in self._signs.items()
            if signs.told
        ]

    def _may_hide(self, peer: str) -> bool:
        return peer in self._gateways or _is_inside(peer)

    def _many(self, peer: str, signs: _Signs) -> bool:
        wanted = GATEWAY_NAMES_WANTED if peer in self._gateways else NAMES_WANTED
        return len(signs.hosts) >= wanted and len(signs.domains) >= wanted

    def _hiding(self, peer: str, signs: _Signs) -> Hiding:
        return Hiding(peer, peer in self._gateways, tuple(signs.hosts), tuple(signs.domains))
