"""Asking the server behind a gateway whether a recipient is there, while the sender waits."""

import asyncio
import ssl

from mailstack.delivery.client import ClientProblem, SmtpClient, Timeouts
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.store.users.gateways import Gateway
from mailstack.wire.smtp import Reply

log = get_logger()
SECONDS = Timeouts(connect=5.0, greeting=10.0, command=10.0)
ALL_SECONDS = 25.0  # senders wait five minutes for an answer to RCPT (RFC 5321 4.5.3.2.3)
AT_ONCE = 20


class Callout:
    """One for the server."""

    def __init__(self, resolver: Resolver, helo: str, tls: ssl.SSLContext) -> None:
        self._resolver = resolver
        self._helo = helo
        self._tls = tls
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, gateway: Gateway, address: Address) -> Reply | None:
        """The answer to RCPT; None when nobody answers. A backup asks the best of the domain's hosts."""
        try:
            async with asyncio.timeout(ALL_SECONDS), self._turns:
                for host, port in await self._hosts(gateway):
                    client = await gateway_client(self._resolver, host, port, self._helo, SECONDS, self._tls)
                    if isinstance(client, SmtpClient):
                        return await _rcpt(client, address)
        except (TimeoutError, ClientProblem, DnsTemporary, NoSuchDomain) as problem:
            log.warning("gateway.not_asked", domain=gateway.domain, problem=str(problem) or "timed out")
        return None

    async def _hosts(self, gateway: Gateway) -> list[tuple[str, int]]:
        if gateway.host is not None:
            return [(gateway.host, gateway.port)]
        hosts = await self._resolver.mx(gateway.domain)
        own = next((one.preference for one in hosts if one.name.lower() == self._helo.lower()), None)
        return [(one.name, gateway.port) for one in hosts if own is None or one.preference < own][:2]


async def _rcpt(client: SmtpClient, address: Address) -> Reply | None:
    try:
        reply = await client.command("MAIL FROM:<>")
        if not reply.positive:
            return None
        return await client.command(f"RCPT TO:<{address}>")
    finally:
        await client.quit()


async def gateway_client(
    resolver: Resolver,
    host: str,
    port: int,
    helo: str,
    timeouts: Timeouts,
    tls: ssl.SSLContext,
    *,
    required: bool = False,
) -> SmtpClient | ClientProblem:
    """A connection to a named host, encrypted where it offers that; why there is none. Raises DnsTemporary, NoSuchDomain.

    `required`: encrypted, or not at all.
    """
    problem = ClientProblem(Reply(451, "4.4.1", f"{host} has no address"))
    try:
        addresses = await resolver.addresses(host)
    except NoSuchDomain:
        if host != "localhost":
            raise
        addresses = ["127.0.0.1"]
    for address in addresses:
        for encrypted in (True,) if required else (True, False):
            client = SmtpClient(host, helo, timeouts)
            try:
                await client.connect(address, port)
                if encrypted and (required or "STARTTLS" in client.extensions):
                    await client.start_tls(tls)
                client.tls = client.version
                return client
            except ClientProblem as found:
                client.abort()
                problem = found
                if not found.tls:
                    break
    return problem
