"""What the DNS says: our records, block lists, whether it can be believed."""

import asyncio
import ipaddress
from typing import Any

from mailstack.control.doctor.finding import Finding, Patient
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.dnssec import Dnssec
from mailstack.net.looking import patience

BLOCKLISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org")
SIGNED_ZONE = "iana.org"  # signed with DNSSEC since 2010


async def records(patient: Patient) -> list[Finding]:
    """The rows of `mailstack dns`."""
    return [of_row(row) for row in await patient.ask("dns.compare") or ()]


def of_row(row: dict[str, Any]) -> Finding:
    what = row["what"] if row["what"].startswith(("PTR", "SRV")) else f"{row['what']} {row['name']}"
    return Finding(what, row["state"], row["text"], row["effect"], row["fix"])


async def blocklists(patient: Patient) -> list[Finding]:
    """Of addresses that others see; private ones are on no list."""
    given = patient.config.dns.addresses
    try:
        async with asyncio.timeout(patience(patient.resolver)):
            addresses = list(given) or await patient.resolver.addresses(patient.config.hostname)
    except (NoSuchDomain, DnsTemporary, TimeoutError):
        return []
    pairs = [(one, name) for one in addresses if ipaddress.ip_address(one).is_global for name in BLOCKLISTS]
    return list(await asyncio.gather(*(_listed(patient.resolver, *pair) for pair in pairs)))


async def _listed(resolver: Resolver, address: str, blocklist: str) -> Finding:
    one = ipaddress.ip_address(address)
    name = one.reverse_pointer.rpartition(".in-addr" if one.version == 4 else ".ip6")[0]
    try:
        async with asyncio.timeout(patience(resolver)):
            answers = await resolver.addresses(f"{name}.{blocklist}", ipv6=False)
    except NoSuchDomain:
        answers = []
    except TimeoutError:
        return _unknown(f"blocklist {blocklist}", f"no answer from {resolver.who}", address)
    except DnsTemporary as problem:
        return _unknown(f"blocklist {blocklist}", f"the DNS gives no answer: {problem}", address)
    return judge_listing(address, blocklist, answers)


def _unknown(what: str, text: str, address: str) -> Finding:
    fix = 'a resolver of your own (apt install unbound), and dns.nameservers = ["127.0.0.1"]'
    return Finding(what, "warn", text, f"nobody can say whether {address} is listed", fix)


def judge_listing(address: str, blocklist: str, answers: list[str]) -> Finding:
    what = f"blocklist {blocklist}"
    if any(answer.startswith("127.255.") for answer in answers):
        text = f"{address}: the list answers no questions from these name servers (dns.nameservers)"
        fix = 'a resolver of your own (apt install unbound), and dns.nameservers = ["127.0.0.1"]'
        return Finding(what, "warn", text, "neither this nor mail that comes can be looked up there", fix)
    if answers:
        fix = f"mend why, then ask the list to take it off: https://www.{'.'.join(blocklist.split('.')[-2:])}/"
        return Finding(what, "bad", f"{address} is listed ({', '.join(answers)})", "many hosts refuse mail from here", fix)
    return Finding(what, "ok", f"{address} is not listed")


async def dnssec(patient: Patient) -> list[Finding]:
    """Whether DANE can work: AD must be believed, and the resolver must set it."""
    if not patient.config.dns.dnssec:
        return []
    effect, fix = "no host is proved by DANE", 'apt install unbound; dns.nameservers = ["127.0.0.1"]'
    if not patient.resolver.trusts_ad:
        text = "dns.dnssec is on, but the name servers are not on this machine: no host is proved by DANE"
        return [Finding("DNSSEC", "bad", text, effect, fix)]
    try:
        async with asyncio.timeout(patience(patient.resolver)):
            secure = (await Dnssec(patient.resolver).host(SIGNED_ZONE)).secure
    except TimeoutError:
        return [Finding("DNSSEC", "warn", f"no answer from {patient.resolver.who}", effect, fix)]
    except DnsTemporary as problem:
        return [Finding("DNSSEC", "warn", f"the DNS gives no answer: {problem}", effect, fix)]
    if secure:
        return [Finding("DNSSEC", "ok", "the resolver validates")]
    return [Finding("DNSSEC", "bad", f"the resolver does not vouch for {SIGNED_ZONE}, which is signed", effect, fix)]
