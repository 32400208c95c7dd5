"""The certificate of this server's own authority, for whoever wants to trust it: in the trial alone."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


class AuthorityFile:
    """`read`: the certificate, PEM; None where another authority vouches for this server."""

    def __init__(self, read: Callable[[], Awaitable[str | None]]) -> None:
        self._read = read

    def routes(self) -> list[BaseRoute]:
        return [Route("/ca.pem", self._answer)]

    async def _answer(self, request: Request) -> Response:
        pem = await self._read()
        if pem is None:
            raise HTTPException(404)
        return Response(pem, media_type="application/x-x509-ca-cert")
