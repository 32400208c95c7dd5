"""Domains, and the DNS records that they need."""

import asyncio
from collections import Counter

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.control.sending import LIMITS
from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class DomainPages:
    """/admin/domains, and a page for each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"remove": self._remove, "update": self._update, "limits": self._limits}
        actions |= {"rotate": self._rotate, "check-keys": self._check_keys, "retire": self._retire}
        return self._desk.routes(
            Page("/admin/domains", self._list, {"add": self._add}, admin=True, menu="Domains"),
            Page("/admin/domains/of", self._show, actions, admin=True),
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
        records, sending = await visit.run("dns.records", domain=domain), await visit.run("domain.limit", domain=domain)
        limits = [name for name in LIMITS if name != "recipients"]
        return visit.page("admin/domain.html", domain=domain, records=records, sending=sending, limits=limits)

    async def _compare(self, visit: Visit) -> Response:
        """What the DNS says now: it may take seconds."""
        domain = visit.argument("domain")
        wanted = ("dns.compare", "dns.zone", "dkim.list")
        rows, zone, keys = await asyncio.gather(*(visit.run(name, domain=domain) for name in wanted))
        lines = [line for some in zone.values() for line in some]
        return visit.page("admin/dns.html", domain=domain, rows=rows, lines=lines, keys=keys)

    async def _update(self, visit: Visit) -> Response:
        done = await visit.run("dns.update", domain=visit.argument("domain"))
        return visit.back(f"{len(done)} records were changed." if done else "Nothing was to be changed.")

    async def _limits(self, visit: Visit) -> Response:
        await visit.run("domain.limit", domain=visit.argument("domain"), **{name: visit.form[name] for name in LIMITS})
        return visit.back("The limits are set.")

    async def _rotate(self, visit: Visit) -> Response:
        await visit.run("dkim.rotate", domain=visit.argument("domain"))
        return visit.back("New keys are made. Publish their records: they sign as soon as those are seen.")

    async def _check_keys(self, visit: Visit) -> Response:
        await visit.run("dkim.check", domain=visit.argument("domain"))
        return visit.back("Looked for the keys' records.")

    async def _retire(self, visit: Visit) -> Response:
        await visit.run("dkim.retire", domain=visit.argument("domain"), selector=visit.form["selector"])
        return visit.back(
            f"{visit.form['selector']} signs no more. Its record must stay for a while: what it signed is under way."
        )

    async def _remove(self, visit: Visit) -> Response:
        domain = visit.argument("domain")
        if visit.form["typed"].casefold() != domain.casefold():
            raise Refused(f"Type {domain} to remove it.")
        await visit.run("domain.remove", domain=domain)
        return visit.back(f"{domain} removed.", "/admin/domains")
