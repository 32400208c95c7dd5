"""What others report: mail in our names (DMARC), TLS with our hosts (TLSRPT)."""

import asyncio

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Visit

DAYS = 30
SHOWN = 100


class ReportPages:
    """/admin/reports"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/admin/reports", self._show, admin=True, menu="Reports"))

    async def _show(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        kinds = ("dmarc", "tls")
        found = await asyncio.gather(
            *(visit.run("reports.summary", kind=kind, days=DAYS, domain=domain or None) for kind in kinds)
        )
        domains = [row["domain"] for row in await visit.run("domain.list")]
        tables = {kind: rows[:SHOWN] for kind, rows in zip(kinds, found, strict=True)}
        return visit.page("admin/reports.html", tables=tables, days=DAYS, domains=domains, domain=domain)
