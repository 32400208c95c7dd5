"""Whether an address has a name that leads back to it (RFC 8601 2.7.3 and 3)."""

import ipaddress

from mailstack.mailauth.results import Iprev, Result
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver, reverse_name

NAMES = 3  # of one address that are looked at (RFC 8601 3 wants a limit)
KIND = "iprev"  # under which a result is kept


def kept_iprev(resolver: Resolver, address: str) -> Iprev | None:
    """What was found before, while the answers are good from which it was."""
    found = resolver.kept(address, KIND)
    return Iprev(Result(found[0]), address, found[1] or None, found[2]) if found else None


async def iprev(resolver: Resolver, address: str) -> Iprev:
    names: list[str] = []
    try:
        names = await resolver.ptr(address)
        found = await _leads_back(resolver, address, names)
    except NoSuchDomain:
        found = Iprev(Result.PERMERROR, address, reason="no name")
    except DnsTemporary:
        found = Iprev(Result.TEMPERROR, address, reason="no answer")
    if found.result is not Result.TEMPERROR:
        # Those behind the one that leads back were not asked.
        looked_at = names[: names.index(found.name) + 1] if found.name else names[:NAMES]
        asked = [(reverse_name(address), "PTR"), *((name, _kind(address)) for name in looked_at)]
        resolver.conclude(address, KIND, (str(found.result), found.name or "", found.reason), asked)
    return found


async def _leads_back(resolver: Resolver, address: str, names: list[str]) -> Iprev:
    wanted, trouble = ipaddress.ip_address(address), False
    for name in names[:NAMES]:
        try:
            if wanted in {ipaddress.ip_address(one) for one in await resolver.plain(name, _kind(address))}:
                return Iprev(Result.PASS, address, name)
        except NoSuchDomain:
            continue
        except DnsTemporary:
            trouble = True
    if trouble:
        return Iprev(Result.TEMPERROR, address, reason="no answer")
    return Iprev(Result.FAIL, address, reason=f"{names[0]} does not lead back")


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"
