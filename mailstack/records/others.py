"""What others have put into the DNS of a domain, and what it means for this server."""

import asyncio

from mailstack.net.dns import DnsTemporary, Resolver
from mailstack.records import spf
from mailstack.records.foreign import SELECTORS, whose
from mailstack.records.publisher import Key
from mailstack.records.record import Row, State


async def seen(domain: str, keys: list[Key], resolver: Resolver) -> list[Row]:
    """Rows for information only: who else sends in this name, and signs."""
    senders, signers = await asyncio.gather(_senders(domain, resolver), _signers(domain, keys, resolver))
    return [*senders, *signers]


async def _senders(domain: str, resolver: Resolver) -> list[Row]:
    found = await resolver.found(domain, "TXT")
    rows = []
    for text in found.values:
        if not spf.is_spf(text):
            continue
        for term in spf.terms(text):
            name = term.partition(":")[2] or term.partition("=")[2]
            if term.lower().lstrip("+?~-").startswith(("include:", "redirect=")):
                who = whose(name) or name
                text = f"{who} may send in this name by SPF ({term}): it stays in the record that is proposed"
                rows.append(Row("also sends", State.INFO, domain, "TXT", (), (term,), found.ttl, text))
    return rows


async def _signers(domain: str, keys: list[Key], resolver: Resolver) -> list[Row]:
    ours = {key.name for key in keys}
    names = [(f"{selector}._domainkey.{domain}", who) for selector, who in SELECTORS]
    asked = [(name, who) for name, who in names if name not in ours]
    found = await asyncio.gather(*(_signer(name, who, resolver) for name, who in asked))
    return [row for row in found if row is not None]


async def _signer(name: str, who: str, resolver: Resolver) -> Row | None:
    try:
        found = await resolver.found(name, "TXT")
    except DnsTemporary:
        return None
    if not any("p=" in text for text in found.values):
        return None
    text = f"{who} signs mail of this domain, it seems: the record may stay as long as mail leaves from there"
    return Row("also signs", State.INFO, name, "TXT", (), found.values, found.ttl, text)
