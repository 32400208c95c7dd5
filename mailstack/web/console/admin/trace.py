"""Where is that message? What became of it, in plain language."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class TracePages:
    """/admin/trace: by address and words, by id, by Message-ID; and what an account sent."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(
            Page("/admin/trace", self._find, admin=True, menu="Messages"),
            Page("/admin/trace/sent", self._sent, admin=True),
        )

    async def _find(self, visit: Visit) -> Response:
        who, words = visit.argument("who"), visit.argument("words")
        found = {}
        if who:
            try:
                found = await visit.run("trace.why", user=who, words=words)
            except Refused as problem:
                visit.problem = str(problem)
        story = next(iter(found.get("stories", ())), None)
        rows, more = found.get("candidates"), found.get("more", False)
        return visit.page("admin/trace.html", who=who, words=words, story=story, found=rows, more=more)

    async def _sent(self, visit: Visit) -> Response:
        address, rows = visit.argument("address"), []
        try:
            rows = await visit.run("trace.sent", user=address)
        except Refused as problem:
            visit.problem = str(problem)
        return visit.page("admin/sent.html", address=address, rows=rows)
