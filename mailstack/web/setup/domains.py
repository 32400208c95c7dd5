"""Which domain a request for settings is about: accounts are never looked at, so that nobody learns which there are."""

import ipaddress
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from mailstack.message.address import Address, normalise_domain, parse_address
from mailstack.message.errors import SyntaxProblem

PREFIXES = ("autoconfig.", "autodiscover.")


def address_of(text: str) -> Address | None:
    """What was typed as an address; None for what is none."""
    try:
        return parse_address(text.strip())
    except SyntaxProblem:
        return None


def host_of(request: Request) -> str:
    """The name that was asked, in lower case; empty: none was said."""
    text = request.headers.get("host", "").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


class Domains:
    """`served`: the domains whose mail is here; `own`: the names of this server itself."""

    def __init__(self, served: Callable[[], Awaitable[frozenset[str]]], own: Callable[[], frozenset[str]]) -> None:
        self._served = served
        self._own = own

    async def serves(self, domain: str | None) -> bool:
        return domain in await self._served()

    async def of(self, host: str, address: Address | None) -> str | None:
        """By the address, else by the name that was asked; None: it is not about this server's mail."""
        served = await self._served()
        if address is not None:
            return address.domain if address.domain in served else None
        try:
            name = host if _is_address(host) else normalise_domain(host)
        except SyntaxProblem:
            return None
        for prefix in ("", *PREFIXES):
            if name.startswith(prefix) and name.removeprefix(prefix) in served:
                return name.removeprefix(prefix)
        if name in self._own() or name == "localhost" or _is_address(name):
            return min(served) if len(served) == 1 else min(self._own())
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
