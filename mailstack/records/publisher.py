"""What of this server the DNS has to say."""

from dataclasses import dataclass

from mailstack.wire.client_settings import ClientSettings
from mailstack.wire.mta_sts import StsPolicy


@dataclass(frozen=True, slots=True)
class Publisher:
    """`addresses`: public ones, where they are known; `clients`: None where none are set up by the DNS."""

    hostname: str
    addresses: tuple[str, ...] = ()
    clients: ClientSettings | None = None
    policy: StsPolicy | None = None  # MTA-STS
    tlsa: tuple[str, ...] = ()  # of the certificates that this server shows, or will
    authority: str | None = None  # the name by which CAA records know who issues them
    sends_by: tuple[str, ...] = ()  # SPF terms of hosts that send for us: "include:amazonses.com"

    @property
    def spf_terms(self) -> tuple[str, ...]:
        """What an SPF record must have (RFC 7208 5)."""
        return ("mx", *self.sends_by)


@dataclass(frozen=True, slots=True)
class Key:
    """A DKIM key of a domain, and its record. `state`: signing, waiting or retired; `until`: when a retired one may go."""

    name: str
    value: str
    state: str = "signing"
    until: float | None = None
