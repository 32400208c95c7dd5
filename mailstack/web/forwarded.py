"""Who asks, and over what, behind a reverse proxy that is trusted: X-Forwarded-For and X-Forwarded-Proto of nobody else."""

import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mailstack.net.proxied import Proxies

FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via")


class Forwarded:
    """Sets `client` and `scheme`, and state "forwarded": whether a proxy that nobody trusts may stand between."""

    def __init__(self, app: ASGIApp, proxies: Callable[[], Proxies]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            proxies = self._proxies()
            forwarded = any(name in headers for name in FORWARDING)
            direct = scope.setdefault("state", {}).get("direct", scope["client"][0] if scope["client"] else "")
            if forwarded and proxies.trusts(direct):
                forwarded = False
                if "x-forwarded-proto" in headers:
                    scope["scheme"] = "https" if headers["x-forwarded-proto"].split(",")[-1].strip() == "https" else "http"
                scope["client"] = (_client(headers.getlist("x-forwarded-for"), proxies) or scope["client"][0], 0)
            scope["state"]["forwarded"] = forwarded
        await self._app(scope, receive, send)


def _client(values: list[str], proxies: Proxies) -> str | None:
    """The last one that no trusted proxy is: what stands before it, anybody may have written."""
    hops = [_plain(hop) for value in values for hop in value.split(",")]
    found = next((hop for hop in reversed(hops) if not proxies.trusts(hop)), "")
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return None


def _plain(hop: str) -> str:
    """An address without brackets, and without the IPv6 that a proxy's listener for both families puts around IPv4."""
    return hop.strip().removeprefix("[").removesuffix("]").lower().removeprefix("::ffff:")
