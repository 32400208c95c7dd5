"""Mail that was refused, and can be rescued for some days."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class RejectedPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/my/rejected", self._show, {"rescue": self._rescue}, menu="Rejected mail"))

    async def _show(self, visit: Visit) -> Response:
        return visit.page("my/rejected.html", rows=await visit.own("rejects.list"))

    async def _rescue(self, visit: Visit) -> Response:
        uids = [int(text) for text in visit.form.every("uid") if text.isascii() and text.isdigit() and len(text) < 11]
        if not uids:
            raise Refused("choose what shall be rescued")
        done = (await visit.own("rejects.rescue", uids=uids))["rescued"]
        return visit.back(
            f"{done} moved to the inbox. The spam filter learned that {'it was' if done == 1 else 'they were'} wanted."
        )
