"""Domains, and the DNS records that they need."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class DomainPages:
    """/admin/domains, and a page for each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(
            Page("/admin/domains", self._list, {"add": self._add}, admin=True, menu="Domains"),
            Page("/admin/domains/of", self._show, {"remove": self._remove}, admin=True),
        )

    async def _list(self, visit: Visit) -> Response:
        accounts = [row["address"].rpartition("@")[2] for row in await visit.run("user.list")]
        rows = [{**row, "accounts": accounts.count(row["domain"])} for row in await visit.run("domain.list")]
        return visit.page("admin/domains.html", domains=rows)

    async def _add(self, visit: Visit) -> Response:
        added = await visit.run("domain.add", domain=visit.form["domain"])
        return visit.back(f"{added['domain']} added. Publish its records.", f"/admin/domains/of?domain={added['domain']}")

    async def _show(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        found = await visit.run("domain.records", domain=domain)
        return visit.page("admin/domain.html", domain=found["domain"], records=found["dkim"])

    async def _remove(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        if visit.form["typed"].casefold() != domain.casefold():
            raise Refused(f"Type {domain} to remove it.")
        await visit.run("domain.remove", domain=domain)
        return visit.back(f"{domain} removed.", "/admin/domains")
