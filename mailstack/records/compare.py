"""The comparison: what is wanted, what is found, what it does."""

import asyncio
from collections.abc import Awaitable, Iterable

from mailstack.net.dns import DnsTemporary, Resolver
from mailstack.net.looking import SECONDS
from mailstack.records import clients, host, mail, others
from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Row, State
from mailstack.records.senders import senders

Part = Awaitable[Row | list[Row] | None]
ASK_OTHERS = "name a resolver that answers: dns.nameservers in the settings; without it those of /etc/resolv.conf are asked"


async def compare_host(publisher: Publisher, resolver: Resolver, signed: Resolver, *, seconds: float = SECONDS) -> list[Row]:
    """Once for all domains. `signed`: who vouches for zones that are signed, the server's own resolver.

    `seconds`: for all questions together; where there is no answer by then, the row says so.
    """
    name = publisher.hostname
    return await _all(
        resolver,
        seconds,
        ("A", name, host.addresses(publisher, resolver)),
        ("PTR", name, host.names(publisher, resolver)),
        ("TLSA", f"_25._tcp.{name}", host.tlsa(publisher, resolver, signed)),
        ("CAA", name, host.caa(publisher, resolver)),
    )


async def compare_domain(
    domain: str, publisher: Publisher, keys: list[Key], resolver: Resolver, *, foreign: bool = True, seconds: float = SECONDS
) -> list[Row]:
    """`foreign`: also look for what others have put there; `seconds` as with compare_host()."""
    return await _all(
        resolver,
        seconds,
        ("MX", domain, mail.mx(domain, publisher, resolver)),
        ("SPF", domain, senders(domain, publisher, resolver)),
        *(("DKIM", key.name, mail.dkim(key, resolver)) for key in keys),
        ("DMARC", f"_dmarc.{domain}", mail.dmarc(domain, resolver)),
        ("MTA-STS", f"_mta-sts.{domain}", mail.transport_record(domain, publisher, resolver)),
        ("TLSRPT", f"_smtp._tls.{domain}", mail.tls_reports(domain, publisher, resolver)),
        ("SRV", domain, clients.services(domain, publisher, resolver)),
        ("names", domain, clients.names(domain, publisher, resolver)),
        *([("others", domain, others.seen(domain, keys, resolver))] if foreign else []),
    )


async def _all(resolver: Resolver, seconds: float, *parts: tuple[str, str, Part]) -> list[Row]:
    """All at once, with one end: where nobody answers, each question takes its time."""
    end = asyncio.get_running_loop().time() + seconds
    found = await asyncio.gather(*(_answered(resolver, end, *part) for part in parts))
    return [row for rows in found for row in rows]


async def _answered(resolver: Resolver, end: float, what: str, name: str, part: Part) -> Iterable[Row]:
    try:
        async with asyncio.timeout_at(end):
            rows = await part
    except TimeoutError:
        return [_unknown(what, name, f"no answer from {resolver.who}", ASK_OTHERS)]
    except DnsTemporary as problem:
        return [_unknown(what, name, f"the DNS gives no answer: {problem}")]
    return [] if rows is None else [rows] if isinstance(rows, Row) else rows


def _unknown(what: str, name: str, text: str, fix: str = "") -> Row:
    return Row(what, State.WARN, name, what, text=text, effect="nobody can say how it is", fix=fix)
