"""The records that a domain needs, without a look at what it has."""

from urllib.parse import urlsplit

from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Record
from mailstack.wire.mta_sts import record_of

DENIED = "0 0 0 ."  # a service that is not offered (RFC 6186 3)
NAMES = ("autoconfig", "autodiscover")


def records(domain: str, publisher: Publisher, keys: list[Key]) -> list[Record]:
    """MX, SPF, DKIM, DMARC, TLSRPT, MTA-STS, services, and the names that mail programs ask."""
    host = publisher.hostname
    return [
        Record(domain, "MX", f"10 {host}."),
        Record(domain, "TXT", f"v=spf1 {' '.join(publisher.spf_terms)} -all"),
        *(Record(key.name, "TXT", key.value) for key in keys),
        Record(f"_dmarc.{domain}", "TXT", dmarc(domain)),
        Record(f"_smtp._tls.{domain}", "TXT", tls_reports(domain, publisher)),
        *transport(domain, publisher),
        *(one for one in services(domain, publisher) if one.value != DENIED),
        *names(domain, publisher),
    ]


def host_records(publisher: Publisher) -> list[Record]:
    """Of the server itself, once for all domains."""
    addresses = [Record(publisher.hostname, "AAAA" if ":" in address else "A", address) for address in publisher.addresses]
    return [*addresses, *(Record(f"_25._tcp.{publisher.hostname}", "TLSA", value) for value in publisher.tlsa)]


def dmarc(domain: str) -> str:
    return f"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"


def tls_reports(domain: str, publisher: Publisher) -> str:
    """By mail and, where this server's own door for it is open, by HTTPS: it works when port 25 does not (RFC 8460 3)."""
    web = publisher.clients.web if publisher.clients is not None and publisher.takes_reports else None
    by_web = f",{web}/tlsrpt" if web is not None and web.startswith("https:") else ""
    return f"v=TLSRPTv1; rua=mailto:postmaster@{domain}{by_web}"


def transport(domain: str, publisher: Publisher) -> list[Record]:
    """MTA-STS (RFC 8461 3): the record, and the name where the policy is."""
    if publisher.policy is None:
        return []
    return [
        Record(f"_mta-sts.{domain}", "TXT", record_of(publisher.policy)),
        Record(f"mta-sts.{domain}", "CNAME", f"{publisher.hostname}."),
    ]


def services(domain: str, publisher: Publisher) -> list[Record]:
    """SRV records of what is offered, with Outlook's way to the settings; what is not offered, denied."""
    if publisher.clients is None:
        return []
    found = [Record(f"{one.label}.{domain}", "SRV", one.value) for one in publisher.clients.srv()]
    port = _secure_port(publisher.clients.web)
    return [*found, *([Record(f"_autodiscover._tcp.{domain}", "SRV", f"0 1 {port} {publisher.clients.host}.")] if port else [])]


def _secure_port(url: str | None) -> int | None:
    parts = urlsplit(url or "")
    return (parts.port or 443) if parts.scheme == "https" else None


def names(domain: str, publisher: Publisher) -> list[Record]:
    """Where mail programs ask for their settings, if there is a door that answers."""
    if publisher.clients is None or publisher.clients.web is None:
        return []
    return [Record(f"{name}.{domain}", "CNAME", f"{publisher.clients.host}.") for name in NAMES]
