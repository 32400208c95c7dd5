"""The names and services by which mail programs find their settings."""

import asyncio

from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.records import wanted
from mailstack.records.publisher import Publisher
from mailstack.records.record import Record, Row, State
from mailstack.records.rows import compared, plain

EFFECTS = {
    "_submissions": "mail programs that look for services have to be told where mail is sent",
    "_submission": "mail programs that look for services have to be told where mail is sent",
    "_imaps": "mail programs that look for services have to be told where mailboxes are",
    "_imap": "mail programs that look for services have to be told where mailboxes are",
    "_pop3s": "mail programs that look for services have to be told where mailboxes are",
    "_sieve": "programs for rules have to be told where they are",
    "_autodiscover": "Outlook finds the settings only by the name autodiscover",
    "autoconfig": "Thunderbird and its like do not find the settings by themselves",
    "autodiscover": "Outlook does not find the settings by itself",
    "mta-sts": "others can't get the MTA-STS policy, and go on without it",
}


async def services(domain: str, publisher: Publisher, resolver: Resolver) -> list[Row]:
    """SRV records of what is offered; of what is not, only where something stands there."""
    rows = await asyncio.gather(*(_service(record, resolver) for record in wanted.services(domain, publisher)))
    return [row for row in rows if row.found or row.wanted != (wanted.DENIED,)]


async def _service(record: Record, resolver: Resolver) -> Row:
    """Port and host count; priority and weight are the domain's own choice."""
    found, kind = await resolver.found(record.name, "SRV"), record.name.partition(".")[0]
    right = any(plain(one).split()[2:] == plain(record.value).split()[2:] for one in found.values)
    state = None if right else State.WARN if found.values else State.INFO
    effect = "mail programs are led elsewhere" if found.values else EFFECTS.get(kind, "")
    return compared(f"SRV {kind}", record, found, missing=state, effect=effect, takes_over=bool(found.values))


async def names(domain: str, publisher: Publisher, resolver: Resolver) -> list[Row]:
    """autoconfig, autodiscover, and mta-sts where there is a policy: aliases of this host, or addresses of it."""
    records = [one for one in (*wanted.transport(domain, publisher), *wanted.names(domain, publisher)) if one.kind == "CNAME"]
    return list(await asyncio.gather(*(_name(record, publisher, resolver) for record in records)))


async def _name(record: Record, publisher: Publisher, resolver: Resolver) -> Row:
    found, kind = await resolver.found(record.name, "CNAME"), record.name.partition(".")[0]
    right = any(plain(one) == plain(record.value) for one in found.values)
    right = right or (not found.values and await _leads_here(record.name, publisher, resolver))
    state = None if right else State.WARN if found.values or kind == "mta-sts" else State.INFO
    return compared(kind, record, found, missing=state, effect=EFFECTS[kind], takes_over=bool(found.values))


async def _leads_here(name: str, publisher: Publisher, resolver: Resolver) -> bool:
    try:
        there = set(await resolver.addresses(name))
        return bool(there & (set(publisher.addresses) or set(await resolver.addresses(publisher.hostname))))
    except (NoSuchDomain, DnsTemporary):
        return False
