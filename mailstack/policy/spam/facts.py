"""What the rules look at: all that is known of a message, put together before they run."""

import ipaddress
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mailstack.mailauth.results import Authentication, Result
from mailstack.message.address import Address
from mailstack.message.header import Mailbox, addresses, every, first

ADDRESSES = 1024  # of peers that are kept as they are written in one way


@dataclass(frozen=True)
class Facts:
    """Of one message, the same for all its recipients. Without slots: what several rules need is worked out once."""

    hostname: str  # ours
    peer: str
    helo: str
    sender: Address | None
    header: bytes
    now: float = 0.0  # seconds since the epoch
    here: bool = False  # from this machine, or through what hides where it comes from
    authentication: Authentication | None = None  # None where nobody looked

    @cached_property
    def helo_name(self) -> str:
        return self.helo.rstrip(".").lower()

    @cached_property
    def helo_literal(self) -> str | None:
        """The address in [192.0.2.1] or [IPv6:...], "" where it can't be read, None for a name."""
        if not self.helo.startswith("["):
            return None
        text = self.helo.strip("[]").removeprefix("IPv6:").removeprefix("ipv6:")
        return _address(text)

    @cached_property
    def peer_address(self) -> str:
        return _address(self.peer)

    @cached_property
    def network(self) -> str | None:
        """The peer's /24, or /48: what one sender has."""
        return _network(self.peer_address)

    @cached_property
    def authors(self) -> list[Mailbox]:
        """Of the first From field; at most ten."""
        value = first(self.header, b"from")
        return addresses(value[:10_000])[:10] if value is not None else []

    @cached_property
    def author(self) -> Address | None:
        return next((one.address for one in self.authors if one.address is not None), None)

    def count(self, name: bytes) -> int:
        return len(every(self.header, name))

    @cached_property
    def verified(self) -> bool:
        """Whether the author's domain stands for this message: DMARC passes, or SPF or DKIM in its name."""
        known, author = self.authentication, self.author
        if known is None or author is None:
            return False
        if known.dmarc.result is Result.PASS:
            return True
        domains = [one.domain for one in known.dkim if one.result is Result.PASS]
        if known.spf.result is Result.PASS:
            domains.append(known.spf.domain)
        return any(one.lower() == author.domain or author.domain.endswith(f".{one.lower()}") for one in domains if "." in one)

    @cached_property
    def names(self) -> list[str]:
        """By what the sender is known, the narrowest first. Only what is shown to be his: anybody can write any From."""
        found = []
        known = self.authentication
        if self.author is not None and self.verified:
            found.append(f"address:{self.author.key}")
        if known is not None:
            found += [f"dkim:{one.domain.lower()}" for one in known.dkim[:5] if one.result is Result.PASS]
            if known.spf.result is Result.PASS and known.spf.domain:
                found.append(f"domain:{known.spf.domain.lower()}")
        if self.author is not None and self.verified:
            found.append(f"domain:{self.author.domain}")
        if self.network is not None and not self.here:
            found.append(f"network:{self.network}")
        return list(dict.fromkeys(found))

    @cached_property
    def disowned(self) -> bool:
        """Whether the author's domain says that this is not from it."""
        return self.authentication is not None and self.authentication.dmarc.result is Result.FAIL


@lru_cache(ADDRESSES)
def _network(address: str) -> str | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return str(ipaddress.ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False))


@lru_cache(ADDRESSES)
def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
