"""Policies of this server's domains, for other mail servers: plain texts by path."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route


class Policies:
    """`texts`: by path, under /.well-known."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self.texts = texts

    def routes(self) -> list[BaseRoute]:
        return [Route("/.well-known/mta-sts.txt", self._answer)]

    async def _answer(self, request: Request) -> Response:
        text = self.texts.get(request.url.path)
        if text is None:
            raise HTTPException(404)
        return PlainTextResponse(text)
