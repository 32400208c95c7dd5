"""What the DNS says of the server itself: addresses, the names of addresses, TLSA, CAA."""

import asyncio
import ipaddress
from dataclasses import replace

from mailstack.net.dns import DnsTemporary, Found, NoSuchDomain, Resolver, reverse_name
from mailstack.net.dnssec import Dnssec
from mailstack.records.publisher import Publisher
from mailstack.records.record import Record, Row, State
from mailstack.records.rows import plain, publish, want_have


async def addresses(publisher: Publisher, resolver: Resolver) -> list[Row]:
    """A and AAAA: those that are known to be ours; else any will do."""
    rows = []
    four, six = await asyncio.gather(*(resolver.found(publisher.hostname, kind) for kind in ("A", "AAAA")))
    for kind, version, found in (("A", 4, four), ("AAAA", 6, six)):
        ours = tuple(one for one in publisher.addresses if ipaddress.ip_address(one).version == version)
        if ours or found.values:
            rows.append(_address(publisher, kind, ours, found))
    if not any(row.found for row in rows) and not publisher.addresses:
        effect = "no other host finds this server"
        fix = f"publish {publisher.hostname}. A with the public address of this server"
        text = f"want an A or AAAA record for {publisher.hostname}; have none"
        rows.append(Row("A", State.BAD, publisher.hostname, "A", (), (), None, text, effect, fix))
    return rows


def _address(publisher: Publisher, kind: str, ours: tuple[str, ...], found: Found) -> Row:
    name = publisher.hostname
    text = want_have(ours, found) if ours else f"leads to {', '.join(found.values)}"
    wrong = tuple(one for one in found.values if publisher.addresses and one not in ours)
    missing = tuple(one for one in ours if one not in found.values)
    if not missing and not wrong:
        return Row(kind, State.OK, name, kind, ours, found.values, found.ttl, text)
    effect = "no other host finds this server by it"
    if wrong and ours:
        effect = f"others are led to {', '.join(wrong)}, which is no address of this server that it knows (dns.addresses)"
    elif wrong:
        effect = f"this server has no {kind} address that it knows (dns.addresses); others try it in vain"
    state = State.WARN if set(found.values) & set(ours) or not ours else State.BAD
    fix = "; ".join(publish(Record(name, kind, one)) for one in missing) or f"take away: {', '.join(wrong)}"
    row = Row(kind, state, name, kind, ours, found.values, found.ttl, text, effect, fix)
    return replace(row, add=missing, remove=wrong, takes_over=bool(wrong))


async def names(publisher: Publisher, resolver: Resolver) -> list[Row]:
    """PTR of each address, which must lead back."""
    known = publisher.addresses or tuple(await _found_addresses(publisher, resolver))
    return list(await asyncio.gather(*(_name(one, publisher.hostname, resolver) for one in known)))


async def _found_addresses(publisher: Publisher, resolver: Resolver) -> list[str]:
    try:
        return await resolver.addresses(publisher.hostname)
    except NoSuchDomain:
        return []


async def _name(address: str, hostname: str, resolver: Resolver) -> Row:
    name, wish = reverse_name(address).rstrip("."), f"{hostname}."
    found = await resolver.found(name, "PTR")
    what, confirmed = f"PTR {address}", await resolver.confirmed_name(address)
    text = f"want {hostname}; have {confirmed or ', '.join(found.values) or 'none that leads back'}"
    if confirmed is not None and confirmed.lower() == hostname.lower():
        return Row(what, State.OK, name, "PTR", (wish,), found.values, found.ttl, text)
    effect = "many hosts refuse mail from an address whose name is missing or does not lead back"
    if confirmed is not None:
        effect = f"others see {confirmed}, and some wonder that the server calls itself {hostname}"
    elif hostname.lower() in (one.lower().rstrip(".") for one in found.values):
        effect = f"{hostname} does not lead back to {address}: {effect}"
    fix = f"set it where you rent the address: {address} is {hostname}"
    return Row(what, State.WARN, name, "PTR", (wish,), found.values, found.ttl, text, effect, fix)


async def tlsa(publisher: Publisher, resolver: Resolver, signed: Resolver) -> list[Row]:
    """Wanted only where the zone is signed and `signed`, a resolver on this machine, vouches for it (RFC 7672 2.2)."""
    name = f"_25._tcp.{publisher.hostname}"
    found = await resolver.found(name, "TLSA")
    right = [one for one in found.values if plain(one).replace(" ", "") in {plain(w).replace(" ", "") for w in publisher.tlsa}]
    text = want_have(publisher.tlsa, found)
    row = Row("TLSA", State.OK, name, "TLSA", publisher.tlsa, found.values, found.ttl, text)
    if right or (not found.values and not publisher.tlsa):
        return [row] if right else []
    if found.values:
        effect = "hosts that know DANE refuse this server's certificate, and keep the mail back"
    elif await _is_signed(publisher.hostname, signed):
        effect = "hosts that know DANE can't be sure of this server, though its zone is signed"
    else:
        return []
    state = State.BAD if found.values else State.INFO
    fix = "; ".join(publish(Record(name, "TLSA", one)) for one in publisher.tlsa)
    return [replace(row, state=state, effect=effect, fix=fix, add=publisher.tlsa, remove=found.values)]


async def _is_signed(name: str, resolver: Resolver) -> bool:
    try:
        return resolver.trusts_ad and (await Dnssec(resolver).host(name)).secure
    except DnsTemporary:
        return False


async def caa(publisher: Publisher, resolver: Resolver) -> Row:
    """Who may issue certificates for this host: the nearest name upwards that has CAA records (RFC 8659 3)."""
    labels = publisher.hostname.split(".")
    names = [".".join(labels[place:]) for place in range(len(labels))]
    looks = zip(names, await asyncio.gather(*(resolver.found(one, "CAA") for one in names)), strict=True)
    name, found = next(((one, look) for one, look in looks if look.values), (publisher.hostname, Found()))
    ours = publisher.authority
    wish = f'0 issue "{ours}"' if ours else None
    if not found.values:
        text, effect = "have none", "any authority may issue a certificate for this host"
        fix = publish(Record(publisher.hostname, "CAA", wish)) if wish else ""
        added = (wish,) if wish else ()
        return Row("CAA", State.INFO, publisher.hostname, "CAA", added, (), None, text, effect if wish else "", fix, added)
    issuers = [_issuer(one) for one in found.values if one.split()[1].lower() == "issue"]
    text = f"have {', '.join(found.values)} at {name}"
    if ours is None or not issuers or ours in issuers:
        return Row("CAA", State.OK, name, "CAA", (wish,) if wish else (), found.values, found.ttl, text)
    assert wish is not None
    effect = f"{ours} may not issue a certificate for {publisher.hostname}: only {', '.join(filter(None, issuers)) or 'nobody'}"
    added, fix = (wish,), publish(Record(name, "CAA", wish))
    return Row("CAA", State.BAD, name, "CAA", added, found.values, found.ttl, text, effect, fix, added)


def _issuer(record: str) -> str:
    """The authority's name in `0 issue "name; parameters"`; empty: nobody."""
    return record.partition('"')[2].partition('"')[0].partition(";")[0].strip().lower()
