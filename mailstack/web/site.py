"""All pages and paths of the HTTP door in one application: what every answer carries, what every request may cost."""

import email.utils
import time
from collections.abc import Callable, Iterable

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailstack.log import get_logger
from mailstack.net.proxied import Proxies
from mailstack.web.forwarded import Forwarded

log = get_logger()
Explain = Callable[[Request, int, str], Response]
Hsts = Callable[[str], int | None]

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


def _nobody() -> Proxies:
    return Proxies(())


class OwnHeaders:
    """Date, and what keeps a browser careful; a handler's own header of a name stays.

    `hsts`: for how many seconds browsers shall come to a host by https alone. It is said over our own TLS, to who came to the
    ordinary port: a browser would keep another one, also where http is spoken there (RFC 6797 8.3).
    """

    def __init__(self, app: ASGIApp, hsts: Hsts) -> None:
        self._app = app
        self._hsts = hsts

    def _strict(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["scheme"] != "https":
            return None
        seconds = self._hsts(Headers(scope=scope).get("host", "").lower().removesuffix(":443").rstrip("."))
        return f"max-age={seconds}" if seconds is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered, strict = False, self._strict(scope)

        async def sending(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                headers.setdefault("date", email.utils.formatdate(time.time(), usegmt=True))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if strict is not None:
                    headers["strict-transport-security"] = strict
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if not answered:
                raise
            # It was answered with 500, and logged, by failed() below.


def _plain(request: Request, status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _never(_: str) -> None:
    return None


def build(
    routes: Iterable[BaseRoute],
    explain: Explain = _plain,
    proxies: Callable[[], Proxies] = _nobody,
    hsts: Hsts = _never,
) -> ASGIApp:
    """The application of these routes. `explain` says what went wrong; `proxies`: who may say for whom it asks."""

    async def refused(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        response = explain(request, problem.status_code, problem.detail)
        response.headers.update(problem.headers or {})
        return response

    async def failed(request: Request, problem: Exception) -> Response:
        """The log has the stack; who asks learns nothing of it."""
        # Not its own path: that of a link has a secret in it.
        path = getattr(request.scope.get("route"), "path", request.url.path)
        log.error("http.failed", path=path, exc_info=problem)
        return explain(request, 500, "Something went wrong here; the server's log says what.")

    async def gone(request: Request, _: Exception) -> Response:
        """Who asked left in the middle of it: nobody hears this, and nothing is wrong here."""
        return explain(request, 400, "The request has no end.")

    handlers = {HTTPException: refused, ClientDisconnect: gone, Exception: failed}
    site = Starlette(routes=list(routes), exception_handlers=handlers)
    return OwnHeaders(Forwarded(site, proxies), hsts)
