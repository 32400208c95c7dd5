"""GET /metrics, for those who may: it tells how much goes on here, and of what kind."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mailstack.net.proxied import Proxies

Text = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Who may read: from which networks, and with which token, where there is one."""

    readers: Proxies
    token: str | None


class MetricsPage:
    def __init__(self, text: Text, media_type: str, settings: MetricsSettings) -> None:
        self._text = text
        self._media_type = media_type
        self.settings = settings

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self._answer)]

    async def _answer(self, request: Request) -> Response:
        """Who may not read is told that there is nothing, save one who only lacks the token."""
        peer = request.client.host if request.client is not None else ""
        # Whoever comes through a proxy that nobody trusts is not that proxy.
        if not self.settings.readers.trusts(peer) or request.scope.get("state", {}).get("forwarded"):
            raise HTTPException(404)
        token = self.settings.token
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, "a token is needed", headers={"www-authenticate": "Bearer"})
        return Response(self._text(), media_type=None, headers={"content-type": self._media_type})
