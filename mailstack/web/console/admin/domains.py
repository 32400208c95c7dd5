"""Domains, and the DNS records that they need."""

from collections import Counter

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
            Page("/admin/domains/of", self._show, {"remove": self._remove, "update": self._update}, admin=True),
            Page("/admin/domains/dns", self._compare, admin=True),
        )

    async def _list(self, visit: Visit) -> Response:
        accounts = Counter(row["address"].rpartition("@")[2] for row in await visit.run("user.list"))
        rows = [{**row, "accounts": accounts[row["domain"]]} for row in await visit.run("domain.list")]
        return visit.page("admin/domains.html", domains=rows)

    async def _add(self, visit: Visit) -> Response:
        added = await visit.run("domain.add", domain=visit.form["domain"])
        return visit.back(f"{added['domain']} added. Publish its records.", f"/admin/domains/of?domain={added['domain']}")

    async def _show(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        if not domain:
            return visit.back(path="/admin/domains")
        return visit.page("admin/domain.html", domain=domain, records=await visit.run("dns.records", domain=domain))

    async def _compare(self, visit: Visit) -> Response:
        """What the DNS says now: it may take seconds."""
        domain = visit.argument("domain")
        return visit.page("admin/dns.html", domain=domain, rows=await visit.run("dns.compare", domain=domain))

    async def _update(self, visit: Visit) -> Response:
        done = await visit.run("dns.update", domain=visit.argument("domain"))
        return visit.back(f"{len(done)} records were changed." if done else "Nothing was to be changed.")

    async def _remove(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        if visit.form["typed"].casefold() != domain.casefold():
            raise Refused(f"Type {domain} to remove it.")
        await visit.run("domain.remove", domain=domain)
        return visit.back(f"{domain} removed.", "/admin/domains")
