"""Questions to the DNS. Causes tell apart what is not there from what could not be asked."""

import asyncio
import ipaddress
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename

from mailstack.net.answers import NOTHING_SECONDS, Answers
from mailstack.net.silence import Silence

KEPT_OCTETS = 4096  # of one answer: there are ten thousand, and as objects they take ten times the room


class NoSuchDomain(Exception):
    """The name does not exist, or has nothing of what was asked."""


class DnsTemporary(Exception):
    """No answer now: SERVFAIL, timeout, refused."""


class NullMx(Exception):
    """The domain takes no mail (RFC 7505)."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """A host that takes a domain's mail; lower preference first."""

    name: str
    preference: int


@dataclass(frozen=True, slots=True)
class Found:
    """Records of one name and kind, as a zone file has them, those of TXT as texts; `ttl`: seconds that others keep them."""

    values: tuple[str, ...] = ()
    ttl: int | None = None


class Resolver:
    """One for the server. `nameservers`: "address" or "address:port"; empty means those of the system."""

    def __init__(
        self,
        nameservers: list[str],
        randomness: random.Random | None = None,
        *,
        lifetime: float = 15.0,
        timeout: float = 4.0,
        dnssec: bool = False,
    ) -> None:
        self._random = randomness or random.SystemRandom()
        self._lifetime = lifetime
        self._timeout = timeout
        self.trusts_ad = False
        self.use(nameservers, dnssec=dnssec)

    def use(self, nameservers: list[str], *, dnssec: bool = False) -> None:
        """Ask these from now on; what was kept from others is forgotten.

        `dnssec`: they validate, and their word (AD) counts if they are this machine itself.
        """
        if nameservers:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            servers = [nameserver(text) for text in nameservers]
            self._resolver.nameservers = [address for address, _ in servers]
            self._resolver.port = servers[0][1]
            self._resolver.nameserver_ports = dict(servers)
        else:
            try:
                self._resolver = dns.asyncresolver.Resolver()
            except dns.resolver.NoResolverConfiguration:
                self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.lifetime = self._lifetime
        self._resolver.timeout = self._timeout
        self._resolver.cache = _Kept(10_000)
        self.trusts_ad = dnssec and _on_loopback([str(one) for one in self._resolver.nameservers])
        if self.trusts_ad:
            self._resolver.use_edns(0, dns.flags.DO, 1232)
            self._resolver.set_flags(dns.flags.RD | dns.flags.AD)
        self.answers = Answers()
        self.silence = Silence()

    @property
    def who(self) -> str:
        """Who is asked, for people."""
        return f"the resolver ({', '.join(str(one) for one in self._resolver.nameservers) or 'there is none'})"

    async def ask(self, name: str, kind: dns.rdatatype.RdataType, *, seconds: float | None = None) -> dns.resolver.Answer:
        """An answer as dnspython has it; for net/. `seconds`: no longer than that. Raises NoSuchDomain, DnsTemporary."""
        try:
            return await self._resolve(name, kind, seconds)
        except dns.resolver.NXDOMAIN as problem:
            raise NoSuchDomain(name) from problem
        except dns.resolver.NoAnswer as problem:
            raise NoSuchDomain(f"{name} {kind.name}") from problem
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError) as problem:
            raise NoSuchDomain(name) from problem
        except (dns.exception.DNSException, OSError) as problem:
            raise DnsTemporary(f"{name} {kind.name}: {_why(problem)}") from problem

    async def _resolve(self, name: str, kind: dns.rdatatype.RdataType, seconds: float | None) -> dns.resolver.Answer:
        silence, since = self.silence, time.monotonic()
        try:
            answer = await self._resolver.resolve(name, kind, search=False, lifetime=seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.NoNameservers):
            silence.answered(since)
            raise
        except (dns.resolver.LifetimeTimeout, OSError, asyncio.CancelledError):
            silence.unanswered(since)
            raise
        silence.answered(since)
        return answer

    async def mx(self, domain: str) -> list[MailHost]:
        """Hosts by preference, equals in random order; the domain itself where there is no MX (RFC 5321 5.1)."""
        if _literal(domain) is not None:
            return [MailHost(domain, 0)]
        try:
            answer = await self.ask(domain, dns.rdatatype.MX)
        except NoSuchDomain:
            await self.addresses(domain)
            return [MailHost(domain, 0)]
        hosts = [MailHost(str(one.exchange).rstrip("."), one.preference) for one in answer]
        if any(not host.name for host in hosts):
            if len(hosts) == 1:
                raise NullMx(domain)
            hosts = [host for host in hosts if host.name]
        self._random.shuffle(hosts)
        return sorted(hosts, key=lambda host: host.preference)

    async def addresses(self, host: str, *, ipv6: bool = True) -> list[str]:
        """A and AAAA of a host, IPv6 first where it is wanted. Raises NoSuchDomain, DnsTemporary."""
        literal = _literal(host)
        if literal is not None:
            return [literal]
        found: list[str] = []
        trouble: Exception | None = None
        for kind in (dns.rdatatype.AAAA, dns.rdatatype.A) if ipv6 else (dns.rdatatype.A,):
            try:
                found += [one.address for one in await self.ask(host, kind)]
            except NoSuchDomain as problem:
                trouble = trouble or problem
            except DnsTemporary as problem:
                trouble = problem
        if not found and trouble is not None:
            raise trouble
        return found

    async def texts(self, name: str, kind: str) -> list[str]:
        """Records as a zone file has them; those of TXT as the text that they are."""
        if kind == "TXT":
            return await self.txt(name)
        return [one.to_text() for one in await self.ask(name, dns.rdatatype.from_text(kind))]

    async def found(self, name: str, kind: str) -> Found:
        """As texts(), but nothing where there is nothing, and with the time to live. Raises DnsTemporary."""
        try:
            answer = await self.ask(name, dns.rdatatype.from_text(kind))
        except NoSuchDomain:
            return Found()
        values = _plain(answer, kind) if kind == "TXT" else [one.to_text() for one in answer]
        return Found(tuple(values), answer.rrset.ttl if answer.rrset is not None else None)

    def kept(self, name: str, kind: str) -> tuple[str, ...] | None:
        """What plain() would say without asking anybody; empty where there is nothing, None where somebody must be asked."""
        return self.answers.get(name.lower(), kind)

    def conclude(self, name: str, kind: str, values: tuple[str, ...], asked: Iterable[tuple[str, str]]) -> None:
        """Keep what follows from these answers, under a kind that no record has, while all of them are good."""
        seconds = min((self.answers.good_for(question.lower(), of) for question, of in asked), default=0.0)
        if seconds > 0:
            self.answers.put(name.lower(), kind, values, seconds)

    async def plain(self, name: str, kind: str) -> list[str]:
        """Values without what stands around them: texts, addresses, the hosts of MX by preference, the names of PTR.

        Raises NoSuchDomain, DnsTemporary.
        """
        name = name.lower()
        kept = self.answers.get(name, kind)
        if kept is None:
            if self.silence.troubled(name, kind):
                raise DnsTemporary(f"{name} {kind}: no answer a moment ago")
            try:
                # Somebody waits for it, and can do without: servers that are silent are not waited for again and again.
                answer = await self.ask(name, dns.rdatatype.from_text(kind), seconds=self.silence.patience)
            except NoSuchDomain:
                self.answers.put(name, kind, (), NOTHING_SECONDS)
                raise
            except DnsTemporary:
                self.silence.trouble(name, kind)
                raise
            except asyncio.CancelledError:
                if self.silence.patience is not None:
                    self.silence.trouble(name, kind)
                raise
            kept = tuple(_plain(answer, kind))
            self.answers.put(name, kind, kept, answer.expiration - time.time())
        if not kept:
            raise NoSuchDomain(f"{name} {kind}")
        return list(kept)

    async def txt(self, name: str) -> list[str]:
        return [b"".join(one.strings).decode("utf-8", "replace") for one in await self.ask(name, dns.rdatatype.TXT)]

    async def ptr(self, address: str) -> list[str]:
        return await self.plain(reverse_name(address), "PTR")

    async def confirmed_name(self, address: str) -> str | None:
        """A name that the address has by PTR and that leads back to it (iprev), None if there is none."""
        try:
            for name in (await self.ptr(address))[:3]:
                if ipaddress.ip_address(address) in {ipaddress.ip_address(one) for one in await self.addresses(name)}:
                    return name
        except (NoSuchDomain, DnsTemporary):
            return None
        return None


def reverse_name(address: str) -> str:
    """Where an address has its PTR."""
    return str(dns.reversename.from_address(address))


def _plain(answer: dns.resolver.Answer, kind: str) -> list[str]:
    match kind:
        case "TXT":
            return [b"".join(one.strings).decode("utf-8", "replace") for one in answer]
        case "MX":
            return [str(one.exchange).rstrip(".") for one in sorted(answer, key=lambda one: one.preference)]
        case "PTR":
            return [str(one.target).rstrip(".") for one in answer]
        case _:
            return [str(one.address) for one in answer]


class _Kept(dns.resolver.LRUCache):
    """That there is nothing is believed for a moment only: who just published a record waits for it to be seen. What is large
    is asked again: of anybody's zone we keep little.
    """

    def put(self, key: dns.resolver.CacheKey, value: dns.resolver.Answer) -> None:
        if len(value.response.wire or b"") > KEPT_OCTETS:
            return
        if value.rrset is None:
            value.expiration = min(value.expiration, time.time() + NOTHING_SECONDS)
        super().put(key, value)


def _why(problem: Exception) -> str:
    match problem:
        case dns.resolver.LifetimeTimeout():
            return "timeout"
        case dns.resolver.NoNameservers():
            return "the name servers fail or refuse (SERVFAIL)"
        case _:
            return type(problem).__name__


def nameserver(text: str) -> tuple[str, int]:
    """Address and port of "address" or "address:port"."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or 53)
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, int(port or 53)
    return text, 53


def _on_loopback(nameservers: list[str]) -> bool:
    """Whether nobody sits between, who could set AD (RFC 4035 4.9.3)."""
    try:
        return bool(nameservers) and all(ipaddress.ip_address(one).is_loopback for one in nameservers)
    except ValueError:
        return False


def _literal(host: str) -> str | None:
    """An address literal, or an address as it is."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    text = text.removeprefix("IPv6:")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
