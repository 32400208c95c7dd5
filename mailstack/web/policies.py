"""Policies of this server's domains, for other mail servers: plain texts by path."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PREFIX = "mta-sts."  # RFC 8461 3.3


class Policies:
    """`texts`: by path, under /.well-known. `is_ours`: whether a domain is one of this server's."""

    def __init__(self, texts: Mapping[str, bytes], is_ours: Callable[[str], Awaitable[bool]]) -> None:
        self.texts = texts
        self._is_ours = is_ours

    def routes(self) -> list[BaseRoute]:
        return [Route("/.well-known/mta-sts.txt", self._answer)]

    async def _answer(self, request: Request) -> Response:
        text = self.texts.get(request.url.path)
        host = (request.url.hostname or "").lower().rstrip(".")
        # Under another name somebody's web server may pass the question on.
        if text is None or (host.startswith(PREFIX) and not await self._is_ours(host.removeprefix(PREFIX))):
            raise HTTPException(404)
        return PlainTextResponse(text)
