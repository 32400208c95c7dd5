"""What a validating resolver on this machine vouches for: mail hosts and their TLSA records (RFC 7672 2)."""

from dataclasses import dataclass

import dns.flags
import dns.rdatatype
import dns.resolver

from mailstack.mailauth.dane import RECORDS, Tlsa
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver


@dataclass(frozen=True, slots=True)
class SecureHost:
    """`secure`: the DNS vouches for its addresses; `name`: what its TLSA records stand under, aliases followed."""

    name: str
    secure: bool


class Dnssec:
    """Asks the resolver that the server uses. Without `trusts_ad` nothing is secure."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    @property
    def on(self) -> bool:
        return self._resolver.trusts_ad

    async def secure_mx(self, domain: str) -> bool:
        """Whether the DNS vouches for the mail hosts of a domain; where it has no MX, for itself."""
        if not self.on:
            return False
        try:
            return _secure(await self._resolver.ask(domain, dns.rdatatype.MX))
        except NoSuchDomain:
            return (await self.host(domain)).secure
        except DnsTemporary:
            return False

    async def host(self, name: str) -> SecureHost:
        """Raises DnsTemporary: an answer that can't be had may be one that somebody holds back."""
        found: list[dns.resolver.Answer] = []
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            try:
                found.append(await self._resolver.ask(name, kind))
            except NoSuchDomain:
                continue
        secure = bool(found) and all(_secure(answer) for answer in found)
        canonical = str(found[0].canonical_name).rstrip(".") if found else name
        return SecureHost(canonical, secure)

    async def tlsa(self, host: str, port: int) -> tuple[Tlsa, ...]:
        """Records that the DNS vouches for; none where it says that there are none, or nobody vouches. Raises DnsTemporary."""
        try:
            answer = await self._resolver.ask(f"_{port}._tcp.{host}", dns.rdatatype.TLSA)
        except NoSuchDomain:
            return ()
        if not _secure(answer):
            return ()
        return tuple(Tlsa(one.usage, one.selector, one.mtype, bytes(one.cert)) for one in list(answer)[:RECORDS])


def _secure(answer: dns.resolver.Answer) -> bool:
    return bool(answer.response.flags & dns.flags.AD)
