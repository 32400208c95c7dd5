"""GET /seen: who asks, and over what, as this server sees it. `mailstack proxy check` looks whether a reverse proxy says so."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route


class Seen:
    def routes(self) -> list[BaseRoute]:
        return [Route("/seen", self._answer)]

    async def _answer(self, request: Request) -> Response:
        peer = request.client.host if request.client is not None else ""
        return JSONResponse({"address": peer, "scheme": request.scope["scheme"]}, headers={"cache-control": "no-store"})
