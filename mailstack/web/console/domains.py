"""The admin's first page."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Visit


class DomainPages:
    """Domains, and the records that they need."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"add": self._add, "remove": self._remove}
        return self._desk.routes(Page("/admin/domains", self._show, actions, admin=True, menu="Domains"))

    async def _show(self, visit: Visit) -> Response:
        return visit.page("admin/domains.html", domains=await visit.run("domain.list"))

    async def _add(self, visit: Visit) -> Response:
        added = await visit.run("domain.add", domain=visit.form["domain"])
        return visit.back(f"{added['domain']} added.")

    async def _remove(self, visit: Visit) -> Response:
        await visit.run("domain.remove", domain=visit.form["domain"])
        return visit.back(f"{visit.form['domain']} removed.")
