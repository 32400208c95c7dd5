"""How a mail program reaches this server, as values: every form of set-up is written from them."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    IMAP = "IMAP"
    POP3 = "POP3"
    SMTP = "SMTP"
    SIEVE = "ManageSieve"


class Security(Enum):
    TLS = "TLS"  # from the first octet on
    STARTTLS = "STARTTLS"
    NONE = "none"


# RFC 6186 3, RFC 8314 5.1, RFC 5804 1.8: names of services in the DNS.
_LABELS = {
    (Kind.IMAP, Security.TLS): "_imaps._tcp",
    (Kind.IMAP, Security.STARTTLS): "_imap._tcp",
    (Kind.POP3, Security.TLS): "_pop3s._tcp",
    (Kind.POP3, Security.STARTTLS): "_pop3._tcp",
    (Kind.SMTP, Security.TLS): "_submissions._tcp",
    (Kind.SMTP, Security.STARTTLS): "_submission._tcp",
    (Kind.SIEVE, Security.STARTTLS): "_sieve._tcp",
}
_PREFERENCE = {Security.TLS: 0, Security.STARTTLS: 10}  # RFC 8314 3.3


@dataclass(frozen=True, slots=True)
class Service:
    """One door for people, as it is reached from outside."""

    kind: Kind
    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """`label` goes before the domain, `value` is as a zone file has it."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What listens, the best of each kind first. The user name is the whole address at every door."""

    host: str
    services: tuple[Service, ...]
    mechanisms: tuple[str, ...]  # SASL, by which people log in
    web: str | None = None  # "https://mail.example.org": this server's pages; None: none are served

    def of(self, *kinds: Kind) -> list[Service]:
        """In the order of `kinds`."""
        return [one for kind in kinds for one in self.services if one.kind is kind]

    def best(self, kind: Kind) -> Service | None:
        return next((one for one in self.services if one.kind is kind), None)

    def srv(self) -> list[SrvRecord]:
        """The domain's SRV records; what does not listen is denied, so that nobody looks for it (RFC 6186 3)."""
        found = {(one.kind, one.security): one for one in reversed(self.services)}
        records = []
        for key, label in _LABELS.items():
            one = found.get(key)
            value = f"{_PREFERENCE[key[1]]} 1 {one.port} {one.host}." if one is not None else "0 0 0 ."
            records.append(SrvRecord(label, value))
        return records
