"""GET /healthz says whether the server runs, and whether mail gets through: what the last self-test found."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route


class Health:
    """`trouble` gives what is not well, in a few words, or None."""

    def __init__(self, trouble: Callable[[], str | None]) -> None:
        self._trouble = trouble

    def routes(self) -> list[BaseRoute]:
        return [Route("/healthz", self._answer)]

    async def _answer(self, request: Request) -> Response:
        trouble = self._trouble()
        return PlainTextResponse("ok\n") if trouble is None else PlainTextResponse(f"{trouble}\n", 503)
