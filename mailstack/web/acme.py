"""Answers to an authority that looks whether a name leads here (RFC 8555 8.3)."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


class AcmeAnswers:
    """`tokens`: what is asked for now, with its answer."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = tokens

    def routes(self) -> list[BaseRoute]:
        return [Route("/.well-known/acme-challenge/{token}", self._answer)]

    async def _answer(self, request: Request) -> Response:
        answer = self._tokens.get(request.path_params["token"])
        if answer is None:
            raise HTTPException(404)
        return Response(answer, media_type="application/octet-stream")
