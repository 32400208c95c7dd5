"""The first page, and what a browser is told where something is not."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.templates import Templates
from mailstack.web.console.visit import Page, Visit


class HomePage:
    """The first entry of somebody's menu."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/", self._show))

    async def _show(self, visit: Visit) -> Response:
        first = next(iter(self._desk.menu(visit)), None)
        return RedirectResponse(first.path, 303) if first is not None else visit.page("home.html")


class ErrorPages:
    """A page for browsers, a line for programs."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def explain(self, request: Request, status: int, text: str) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{text}\n", status)
        title = HTTPStatus(status).phrase
        return self._templates.answer(
            "error.html", status, {"title": title, "status": status, "text": text.removesuffix(title)}
        )
