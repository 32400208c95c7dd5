"""The API as a part of the site: who asks, how often, and the routes."""

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mailstack.log import get_logger
from mailstack.policy.login import Channel, Logins
from mailstack.store.users.api_tokens import ApiTokens, Token
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.scope import Protocol
from mailstack.web.api.endpoint import ApiProblem, Call, Endpoint, as_json, parse, read_body
from mailstack.web.api.openapi import BASE, document
from mailstack.web.api.shapes import Problem
from mailstack.web.console.privacy import is_private
from mailstack.web.site import Explain

log = get_logger()
AUTHENTICATE = {"www-authenticate": 'Bearer realm="mailstack"'}


def explaining(other: Explain) -> Explain:
    """Programs are told in JSON why there is nothing; who comes for other things is told by `other`."""

    def explain(request: Request, status: int, text: str) -> Response:
        if not request.url.path.startswith(f"{BASE}/"):
            return other(request, status, text)
        return as_json(Problem(text), status)

    return explain


class Api:
    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        tokens: ApiTokens,
        directory: Directory,
        logins: Logins,
        clock: Callable[[], float],
    ) -> None:
        self._endpoints = list(endpoints)
        self._tokens = tokens
        self._directory = directory
        self._logins = logins
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        async def describe(request: Request) -> Response:
            return as_json(document(self._endpoints), 200)

        mine: list[BaseRoute] = [Route(f"{BASE}/openapi.json", describe)]
        by_path: dict[str, dict[str, Endpoint]] = {}
        for one in self._endpoints:
            by_path.setdefault(one.path, {})[one.method] = one
        return mine + [Route(BASE + path, self._at(methods), methods=list(methods)) for path, methods in by_path.items()]

    def _at(self, methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
            assert endpoint is not None  # the route has no other methods
            try:
                status, value = await self._run(endpoint, request)
            except ApiProblem as problem:
                return as_json(problem.problem, problem.status, problem.headers)
            return as_json(value, status)

        return answer

    async def _run(self, endpoint: Endpoint, request: Request) -> tuple[int, object]:
        token, account = await self._caller(request)
        if endpoint.admin and account is not None:
            raise ApiProblem(403, "this needs an admin's token")
        body = None
        if endpoint.takes is not None and endpoint.limit is not None:
            body = parse(await read_body(request, endpoint.limit), endpoint.takes)
        found = await endpoint.answer(Call(request, token, account, body))
        if request.method != "GET":
            log.info("api.did", method=request.method, path=request.url.path, by=token.label, status=found[0])
        return found

    async def _caller(self, request: Request) -> tuple[Token, AccountRecord | None]:
        """Raises ApiProblem. A token that is wrong counts as a wrong password does."""
        if not is_private(request):
            raise ApiProblem(403, "the API is served over https, or to programs on the server itself")
        peer = request.client.host if request.client else ""
        if self._logins.refuses(peer):
            raise ApiProblem(403, "too many failed logins from your network")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise ApiProblem(401, "a token is needed: Authorization: Bearer ...", headers=AUTHENTICATE)
        token = await self._tokens.find(given.strip())
        record = None
        if token is not None and token.account is not None:
            record = (await self._directory.entry(token.account)).account
        if token is None or (token.account is not None and (record is None or record.disabled)):
            self._logins.code_failed(Channel(peer, True, Protocol.WEB), "")
            raise ApiProblem(401, "the token is not good", headers=AUTHENTICATE)
        self._tokens.used(token, self._clock(), peer)
        return token, record
