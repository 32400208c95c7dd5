"""The comparison: what is wanted, what is found, what it does."""

import asyncio
from collections.abc import Awaitable, Iterable

from mailstack.net.dns import DnsTemporary, Resolver
from mailstack.records import clients, host, mail, others
from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Row, State
from mailstack.records.senders import senders

Part = Awaitable[Row | list[Row] | None]


async def compare_host(publisher: Publisher, resolver: Resolver, signed: Resolver) -> list[Row]:
    """Once for all domains. `signed`: who vouches for zones that are signed, the server's own resolver."""
    name = publisher.hostname
    return await _all(
        ("A", name, host.addresses(publisher, resolver)),
        ("PTR", name, host.names(publisher, resolver)),
        ("TLSA", f"_25._tcp.{name}", host.tlsa(publisher, resolver, signed)),
        ("CAA", name, host.caa(publisher, resolver)),
    )


async def compare_domain(
    domain: str, publisher: Publisher, keys: list[Key], resolver: Resolver, *, foreign: bool = True
) -> list[Row]:
    """`foreign`: also look for what others have put there."""
    return await _all(
        ("MX", domain, mail.mx(domain, publisher, resolver)),
        ("SPF", domain, senders(domain, publisher, resolver)),
        *(("DKIM", key.name, mail.dkim(key, resolver)) for key in keys),
        ("DMARC", f"_dmarc.{domain}", mail.dmarc(domain, resolver)),
        ("MTA-STS", f"_mta-sts.{domain}", mail.transport_record(domain, publisher, resolver)),
        ("TLSRPT", f"_smtp._tls.{domain}", mail.tls_reports(domain, resolver)),
        ("SRV", domain, clients.services(domain, publisher, resolver)),
        ("names", domain, clients.names(domain, publisher, resolver)),
        *([("others", domain, others.seen(domain, keys, resolver))] if foreign else []),
    )


async def _all(*parts: tuple[str, str, Part]) -> list[Row]:
    """All at once: where nobody answers, each question takes its time."""
    found = await asyncio.gather(*(_answered(*part) for part in parts))
    return [row for rows in found for row in rows]


async def _answered(what: str, name: str, part: Part) -> Iterable[Row]:
    try:
        rows = await part
    except DnsTemporary as problem:
        effect = "nobody can say how it is"
        return [Row(what, State.WARN, name, what, text=f"the DNS gives no answer: {problem}", effect=effect)]
    return [] if rows is None else [rows] if isinstance(rows, Row) else rows
