"""One domain's mail to its hosts: which host, which address, which way, and what came of it."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from mailstack.delivery.callout import gateway_client
from mailstack.delivery.client import ClientProblem, Credentials, SmtpClient, Timeouts
from mailstack.delivery.outcome import Failed, Outcome, later, never
from mailstack.delivery.outgoing import Outgoing
from mailstack.delivery.reaching import Place, Reach
from mailstack.message.envelope import Recipient, TlsWish
from mailstack.net.dns import DnsTemporary, MailHost, NoSuchDomain, NullMx, Resolver
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.users.gateways import Gateway
from mailstack.wire.smtp import Reply

ADDRESSES = 8  # tried for one message
HOSTS = 16  # asked for their addresses: a domain may name thousands
REUSE = 200  # messages on one connection
IPV6_PROVED, IPV6_DENIED = 3600.0, 600.0  # seconds until the PTR is asked for again


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where all mail goes, if it does not go to MX hosts."""

    host: str
    port: int
    credentials: Credentials | None
    implicit_tls: bool


def parse_smarthost(url: str, password: str | None) -> Smarthost | None:
    """ "smtp://user:password@host:587". Raises ValueError."""
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError(f"{url!r} is not smtp://[user:password@]host[:port] or smtps://...")
    implicit = parts.scheme == "smtps"
    credentials = None
    if parts.username:
        credentials = Credentials(unquote(parts.username), password or unquote(parts.password or ""))
    return Smarthost(parts.hostname, parts.port or (465 if implicit else 587), credentials, implicit)


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    helo: str
    mx_port: int
    smarthost: Smarthost | None
    source: tuple[str, ...]
    ipv6: str
    timeouts: Timeouts = field(default_factory=Timeouts)


class RemoteDelivery:
    """deliver() one message's recipients of one domain over a carrier, which may be used again for the next."""

    def __init__(
        self,
        settings: RemoteSettings,
        resolver: Resolver,
        queue: Queue,
        outgoing: Outgoing,
        reach: Reach,
        tls_opportunistic: ssl.SSLContext,
        tls_verified: ssl.SSLContext,
        gateways: Callable[[str], Gateway | None] = lambda _: None,
    ) -> None:
        """`gateways`: where mail of a domain is passed on to, past all settings."""
        self._gateways = gateways
        self.settings = settings
        self._resolver = resolver
        self._queue = queue
        self._outgoing = outgoing
        self._reach = reach
        self._opportunistic = tls_opportunistic
        self._verified = tls_verified
        self._ipv6 = False
        self._ipv6_until = 0.0

    def use(self, settings: RemoteSettings) -> None:
        """Go this way from now on."""
        self.settings = settings
        self._ipv6_until = 0.0

    def lane(self, domain: str, wish: TlsWish = TlsWish.POLICY) -> str:
        """Recipients that share a lane share connections; those of messages that want TLS otherwise have their own."""
        if not self.direct(domain):
            return "" if wish is not TlsWish.REQUIRED else f" {wish.value}"
        return domain if wish is TlsWish.POLICY else f"{domain} {wish.value}"

    def direct(self, domain: str) -> bool:
        """Whether its mail goes to its own hosts, or to the one that was named for it, and not to the smarthost."""
        return self.settings.smarthost is None or self._gateways(domain) is not None

    # Connections ----------------------------------------------------------------------------------------------------

    async def connect(self, domain: str, wish: TlsWish = TlsWish.POLICY) -> SmtpClient | list[Outcome]:
        """A client that is ready for MAIL, or why there is none (one outcome for all)."""
        gateway = self._gateways(domain)
        if gateway is not None and gateway.host is not None:
            return await self._connect_gateway(gateway, gateway.host, wish)
        smarthost = self.settings.smarthost
        if smarthost is not None and gateway is None:
            return await self._connect_smarthost(smarthost, wish)
        if not domain:
            return [later("the smarthost was taken out of the settings meanwhile", "4.4.5")]
        try:
            hosts = await self._resolver.mx(domain)
        except NullMx:
            return [never(f"the domain {domain} takes no mail", "5.1.10")]
        except NoSuchDomain:
            return [never(f"the domain {domain} does not exist, or has no mail host", "5.1.2")]
        except DnsTemporary as problem:
            return [later(f"the DNS gives no answer for {domain}: {problem}", "4.4.3")]
        return await self._connect_hosts(domain, hosts, wish)

    async def _connect_gateway(self, gateway: Gateway, host: str, wish: TlsWish) -> SmtpClient | list[Outcome]:
        settings, required = self.settings, wish is TlsWish.REQUIRED
        tls = self._verified if required else self._opportunistic
        try:
            found = await gateway_client(
                self._resolver, host, gateway.port, settings.helo, settings.timeouts, tls, required=required
            )  # fmt: skip
        except NoSuchDomain:
            return [later(f"the gateway's host {host} does not exist", "4.4.3")]
        except DnsTemporary as problem:
            return [later(f"the DNS gives no answer for {host}: {problem}", "4.4.3")]
        if isinstance(found, SmtpClient):
            return found
        return [Failed(Reply(451, found.reply.enhanced or "4.4.1", found.reply.text), host)]

    async def _connect_hosts(self, domain: str, hosts: list[MailHost], wish: TlsWish) -> SmtpClient | list[Outcome]:
        own = next((host.preference for host in hosts if host.name.lower() == self.settings.helo.lower()), None)
        if own is not None:
            # RFC 5321 5.1: hosts that are not better than this one would send it back.
            hosts = [host for host in hosts if host.preference < own]
            if not hosts:
                return [never(f"mail for {domain} comes back to this host", "5.4.6")]
        hosts = hosts[:HOSTS]
        last: Outcome = later(f"no host of {domain} could be reached", "4.4.1")
        tried = 0
        about = await self._reach.policies.domain(domain, wish)
        use_ipv6 = await self._uses_ipv6()
        missing = 0
        for host in hosts:
            try:
                addresses = await self._resolver.addresses(host.name, ipv6=use_ipv6)
            except NoSuchDomain:
                missing += 1
                if missing == len(hosts):
                    return [never(f"the mail hosts of {domain} have no addresses", "5.4.4")]
                continue
            except DnsTemporary as problem:
                last = later(f"the DNS gives no answer for {host.name}: {problem}", "4.4.3")
                continue
            policy = await self._reach.policies.host(about, host.name, self.settings.mx_port)
            for address in addresses if policy.refusal is None else addresses[:1]:
                if tried >= ADDRESSES:
                    return [last]
                tried += 1
                place = Place(host.name, address, self.settings.mx_port, self._source(address))
                found = await self._reach.connect(about, policy, place, self.settings.helo, self.settings.timeouts)
                if isinstance(found, SmtpClient):
                    return found
                last = found
        if isinstance(last, Failed) and last.permanent and last.reply.code not in (521, 556):
            # A host that turns us away before it knows the message: another attempt may find it in better temper.
            last = Failed(Reply(451, "4.4.1", last.reply.text), last.host)
        return [last]

    async def _uses_ipv6(self) -> bool:
        if self.settings.ipv6 != "auto":
            return self.settings.ipv6 == "on"
        now = asyncio.get_running_loop().time()
        if now >= self._ipv6_until:
            sources = [address for address in self.settings.source if ":" in address]
            self._ipv6 = bool(sources) and await self._resolver.confirmed_name(sources[0]) is not None
            self._ipv6_until = now + (IPV6_PROVED if self._ipv6 else IPV6_DENIED)
        return self._ipv6

    def _source(self, address: str) -> str | None:
        return next((one for one in self.settings.source if (":" in one) == (":" in address)), None)

    async def _connect_smarthost(self, smarthost: Smarthost, wish: TlsWish) -> SmtpClient | list[Outcome]:
        try:
            addresses = await self._resolver.addresses(smarthost.host)
        except NoSuchDomain:
            if smarthost.host != "localhost":
                return [later(f"the smarthost {smarthost.host} does not exist", "4.4.3")]
            addresses = ["127.0.0.1"]
        except DnsTemporary as problem:
            return [later(f"the DNS gives no answer for {smarthost.host}: {problem}", "4.4.3")]
        last: Outcome = later(f"the smarthost {smarthost.host} has no address", "4.4.3")
        for address in addresses:
            client = SmtpClient(smarthost.host, self.settings.helo, self.settings.timeouts)
            try:
                implicit = self._verified if smarthost.implicit_tls else None
                await client.connect(address, smarthost.port, implicit_tls=implicit)
                proved = smarthost.credentials is not None or wish is TlsWish.REQUIRED
                if not client.secure and (proved or "STARTTLS" in client.extensions):
                    # A password never goes where the certificate was not proved, nor what asks for it.
                    await client.start_tls(self._verified if proved else self._opportunistic)
                client.tls = client.version
                if smarthost.credentials is not None:
                    await client.log_in(smarthost.credentials)
                return client
            except ClientProblem as problem:
                client.abort()
                last = Failed(Reply(451, problem.reply.enhanced or "4.4.1", problem.reply.text), smarthost.host)
        return [last]

    # Messages -------------------------------------------------------------------------------------------------------

    async def send(self, client: SmtpClient, queued: Queued, numbers: list[int]) -> dict[int, Outcome]:
        """Recipients (by number) of a message over a connection. Raises ClientProblem when the connection broke."""
        envelope = queued.envelope
        recipients: list[Recipient] = [envelope.recipients[number] for number in numbers]
        header = await self._queue.read_header(queued)
        end = header.find(b"\r\n\r\n")
        utf8_header = not header[: end if end >= 0 else len(header)].isascii()
        utf8 = "SMTPUTF8" in client.extensions and (
            utf8_header or envelope.smtputf8 or any(one.address.needs_smtputf8 for one in recipients)
        )
        refusal = client.refuses(envelope, queued.size, recipients, utf8_header and envelope.smtputf8)
        if refusal is not None:
            return {number: Failed(refusal, client.host) for number in numbers}
        if client.worse is not None:
            self._outgoing.tell_worse(queued, client.host, client.worse)
        waits = await self._outgoing.judge(queued, header)
        if waits is not None:
            return {number: Failed(waits) for number in numbers}
        formed = await self._outgoing.form(queued, header, takes_8bit="8BITMIME" in client.extensions)
        outcomes = await client.deliver(envelope, recipients, formed.size, formed.blocks, eight_bit=formed.eight_bit, utf8=utf8)
        return dict(zip(numbers, outcomes, strict=True))
