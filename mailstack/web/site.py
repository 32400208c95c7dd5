"""All pages and paths of the HTTP door in one application: what every answer carries, what every request may cost."""

import email.utils
import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailstack.log import get_logger

log = get_logger()
Handler = Callable[[Request], Awaitable[Response]]

# Everything comes from this server; nothing is framed, nothing inline runs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class OwnHeaders:
    """Date, and what keeps a browser careful; a handler's own header of a name stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("date", email.utils.formatdate(time.time(), usegmt=True))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return PlainTextResponse(f"{problem.detail}\n", problem.status_code, headers=problem.headers)


async def _failed(request: Request, problem: Exception) -> Response:
    """The log has the stack; who asks learns nothing of it."""
    log.error("http.failed", path=request.url.path, exc_info=problem)
    return PlainTextResponse("Something went wrong here; the server's log says what.\n", 500)


def build(routes: Iterable[BaseRoute]) -> ASGIApp:
    """The application of these routes."""
    return Starlette(
        routes=list(routes),
        middleware=[Middleware(OwnHeaders)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
