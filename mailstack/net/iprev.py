"""Whether an address has a name that leads back to it (RFC 8601 2.7.3 and 3)."""

import ipaddress

from mailstack.mailauth.results import Iprev, Result
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

NAMES = 3  # of one address that are looked at (RFC 8601 3 wants a limit)


async def iprev(resolver: Resolver, address: str) -> Iprev:
    try:
        names = await resolver.ptr(address)
    except NoSuchDomain:
        return Iprev(Result.PERMERROR, address, reason="no name")
    except DnsTemporary:
        return Iprev(Result.TEMPERROR, address, reason="no answer")
    wanted, trouble = ipaddress.ip_address(address), False
    kind = "AAAA" if wanted.version == 6 else "A"
    for name in names[:NAMES]:
        try:
            if wanted in {ipaddress.ip_address(one) for one in await resolver.plain(name, kind)}:
                return Iprev(Result.PASS, address, name)
        except NoSuchDomain:
            continue
        except DnsTemporary:
            trouble = True
    if trouble:
        return Iprev(Result.TEMPERROR, address, reason="no answer")
    return Iprev(Result.FAIL, address, reason=f"{names[0]} does not lead back")
