"""Autoconfig: what Thunderbird and its like fetch, with an address in the question or without."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mailstack.web.setup.domains import Domains, address_of, host_of
from mailstack.wire.autoconfig import write
from mailstack.wire.client_settings import ClientSettings

PATHS = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")


class Autoconfig:
    def __init__(self, domains: Domains, settings: Callable[[], ClientSettings]) -> None:
        self._domains = domains
        self._settings = settings

    def routes(self) -> list[BaseRoute]:
        return [Route(path, self._answer) for path in PATHS]

    async def _answer(self, request: Request) -> Response:
        address = address_of(request.query_params.get("emailaddress", ""))
        domain = await self._domains.of(host_of(request), address)
        if domain is None:
            raise HTTPException(404)
        return Response(write(self._settings(), domain), media_type="text/xml")
