"""Autodiscover: what Outlook asks, in XML (v1) and in JSON (v2)."""

import re
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mailstack.message.errors import SyntaxProblem
from mailstack.web.setup.domains import Domains, address_of, host_of
from mailstack.wire import autodiscover
from mailstack.wire.client_settings import ClientSettings


class AnyCase(Route):
    """A path whose case means nothing: programs write autodiscover in four ways."""

    def __init__(self, path: str, endpoint: Callable[..., object], methods: list[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


class Autodiscover:
    def __init__(self, domains: Domains, settings: Callable[[], ClientSettings], clock: Callable[[], float]) -> None:
        self._domains = domains
        self._settings = settings
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [
            AnyCase("/autodiscover/autodiscover.xml", self._xml, ["GET", "POST"]),
            AnyCase("/autodiscover/autodiscover.json", self._json, ["GET"]),
            AnyCase("/autodiscover/autodiscover.json/v1.0/{email}", self._json, ["GET"]),
        ]

    async def _xml(self, request: Request) -> Response:
        try:
            asked = autodiscover.read(await _body(request))
        except SyntaxProblem:
            return self._no(autodiscover.INVALID, "Invalid Request")
        address = address_of(asked.address)
        if address is None:
            return self._no(autodiscover.INVALID, "Invalid Request")
        # Another form would be ActiveSync's, or certificates'.
        if asked.schema not in ("", autodiscover.OUTLOOK) or await self._domains.of(host_of(request), address) is None:
            return self._no(autodiscover.NO_PROVIDER, "Provider is not available")
        return Response(autodiscover.write(self._settings(), str(address)), media_type="text/xml")

    def _no(self, code: int, message: str) -> Response:
        return Response(autodiscover.refuse(code, message, self._clock()), media_type="text/xml")

    async def _json(self, request: Request) -> Response:
        asked = {name.lower(): value for name, value in request.query_params.items()}
        email = request.path_params.get("email") or asked.get("email", "")
        address = address_of(email)
        if email and (address is None or await self._domains.of(host_of(request), address) is None):
            raise HTTPException(404)
        status, answer = autodiscover.lead(self._settings(), email, asked.get("protocol", ""))
        return JSONResponse(answer, status)


async def _body(request: Request) -> bytes:
    """Raises SyntaxProblem for what is too long, before all of it is here."""
    found = b""
    async for piece in request.stream():
        found += piece
        if len(found) > autodiscover.LIMIT:
            raise SyntaxProblem("the request is too long")
    return found
