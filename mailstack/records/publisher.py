"""What of this server the DNS has to say."""

from dataclasses import dataclass, replace

from mailstack.wire.client_settings import ClientSettings, Kind, Security
from mailstack.wire.mta_sts import StsPolicy

ORDINARY = {
    (Kind.IMAP, Security.TLS): 993,
    (Kind.IMAP, Security.STARTTLS): 143,
    (Kind.IMAP, Security.NONE): 143,
    (Kind.POP3, Security.TLS): 995,
    (Kind.POP3, Security.STARTTLS): 110,
    (Kind.POP3, Security.NONE): 110,
    (Kind.SMTP, Security.TLS): 465,
    (Kind.SMTP, Security.STARTTLS): 587,
    (Kind.SMTP, Security.NONE): 587,
    (Kind.SIEVE, Security.STARTTLS): 4190,
    (Kind.SIEVE, Security.NONE): 4190,
}


@dataclass(frozen=True, slots=True)
class Publisher:
    """`addresses`: public ones, where they are known; `clients`: None where none are set up by the DNS."""

    hostname: str
    addresses: tuple[str, ...] = ()
    clients: ClientSettings | None = None
    policy: StsPolicy | None = None  # MTA-STS
    tlsa: tuple[str, ...] = ()  # of the certificates that this server shows, or will
    authority: str | None = None  # the name by which CAA records know who issues them
    takes_reports: bool = True  # of TLS, by HTTPS
    sends_by: tuple[str, ...] = ()  # SPF terms of hosts that send for us: "include:amazonses.com"

    def called(self, hostname: str, addresses: tuple[str, ...] = ()) -> "Publisher":
        """The same server under another name, at the ordinary ports: what a trial will be."""
        clients = None
        if self.clients is not None:
            services = tuple(
                replace(one, host=hostname, port=ORDINARY[one.kind, one.security]) for one in self.clients.services
            )
            clients = replace(self.clients, host=hostname, services=services, web=self.clients.web and f"https://{hostname}")
        return replace(self, hostname=hostname, addresses=addresses or self.addresses, clients=clients, tlsa=())

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
