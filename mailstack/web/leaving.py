"""/leave/TOKEN: one click takes a member off a mailing list (RFC 8058); who looks at it first sees a button."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mailstack.message.errors import SyntaxProblem
from mailstack.policy.leaving import PATH, Leaving
from mailstack.store.errors import StoreProblem
from mailstack.web.console.templates import Templates

SIZE = 4096  # octets of what is posted
CLICK = b"One-Click"  # RFC 8058 3.2: List-Unsubscribe=One-Click, as a form of either kind


class LeavingPages:
    def __init__(self, leaving: Leaving, templates: Templates) -> None:
        self._leaving = leaving
        self._templates = templates

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{PATH}/{{token}}", self._look, methods=["GET"]),
            Route(f"{PATH}/{{token}}", self._leave, methods=["POST"]),
        ]

    async def _look(self, request: Request) -> Response:
        """Programs look at links, too: nothing is done yet."""
        try:
            mailing, member = await self._leaving.of(request.path_params["token"])
        except SyntaxProblem:
            raise HTTPException(404, "This link leads nowhere.") from None
        return await self._page(mailing, member)

    async def _leave(self, request: Request) -> Response:
        """No cookie, no login: who has the link is the member (RFC 8058 3.1)."""
        posted = b""
        async for block in request.stream():
            posted += block
            if len(posted) > SIZE:
                raise HTTPException(413, "That is too much.", {"connection": "close"})
        if CLICK not in posted:
            raise HTTPException(400, "One who leaves says List-Unsubscribe=One-Click.")
        try:
            mailing = await self._leaving.leave(request.path_params["token"])
        except SyntaxProblem:
            raise HTTPException(404, "This link leads nowhere.") from None
        except StoreProblem:
            raise HTTPException(503, "This can't be done now; try again later.") from None
        return await self._page(mailing, None)

    async def _page(self, mailing: str, member: str | None) -> Response:
        """`member`: who may leave; None: he did."""
        await self._templates.ready()
        return self._templates.answer("leaving.html", 200, {"mailing": mailing, "member": member})
