"""GET /healthz says whether the server runs."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route


class Health:
    def __init__(self, healthy: Callable[[], bool]) -> None:
        self._healthy = healthy

    def routes(self) -> list[BaseRoute]:
        return [Route("/healthz", self._answer)]

    async def _answer(self, request: Request) -> Response:
        return PlainTextResponse("ok\n") if self._healthy() else PlainTextResponse("not ready\n", 503)
