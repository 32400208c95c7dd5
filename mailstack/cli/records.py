"""What a domain publishes in the DNS."""

from dataclasses import dataclass

from mailstack.config import Config, duration
from mailstack.wire.mta_sts import StsPolicy, own_policy, record_of

STRING_LIMIT = 255  # octets of one string in a TXT record (RFC 1035 3.3.14)


@dataclass(frozen=True, slots=True)
class Record:
    name: str  # without the last dot
    kind: str
    value: str  # as a zone file has it, but for TXT: the text as it is

    def __str__(self) -> str:
        """A line of a zone file."""
        value = txt(self.value) if self.kind == "TXT" else self.value
        return f"{self.name}. {self.kind} {value}"


def txt(text: str) -> str:
    """A text as strings of at most 255 octets."""
    pieces = [text[place : place + STRING_LIMIT] for place in range(0, len(text), STRING_LIMIT)]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)


def _sts(domain: str, host: str, policy: StsPolicy | None) -> list[Record]:
    if policy is None:
        return []
    return [Record(f"_mta-sts.{domain}", "TXT", record_of(policy)), Record(f"mta-sts.{domain}", "CNAME", f"{host}.")]


def records(domain: str, config: Config, dkim: list[dict[str, str]]) -> list[Record]:
    """MX, SPF, DKIM, DMARC, MTA-STS, TLSRPT, services (RFC 6186, RFC 8314 5.1, RFC 5804 1.8), autoconfig."""
    host = config.hostname
    return [
        Record(domain, "MX", f"10 {host}."),
        Record(domain, "TXT", "v=spf1 mx -all"),
        *(Record(one["name"], "TXT", one["value"]) for one in dkim),
        Record(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"),
        Record(f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua=mailto:postmaster@{domain}"),
        *_sts(domain, host, own_policy(config.mta_sts.mode, host, duration(config.mta_sts.max_age))),
        Record(f"_submissions._tcp.{domain}", "SRV", f"0 1 465 {host}."),
        Record(f"_submission._tcp.{domain}", "SRV", f"10 1 587 {host}."),
        Record(f"_imaps._tcp.{domain}", "SRV", f"0 1 993 {host}."),
        Record(f"_imap._tcp.{domain}", "SRV", f"10 1 143 {host}."),
        Record(f"_sieve._tcp.{domain}", "SRV", f"0 1 4190 {host}."),
        Record(f"autoconfig.{domain}", "CNAME", f"{host}."),
    ]
