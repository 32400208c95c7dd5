"""Accounts: who is here."""

from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.admin.account import AccountPage
from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Visit

SHOWN = 100  # on a page


class AccountPages:
    """/admin/accounts, and a page for each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._one = AccountPage()

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(
            Page("/admin/accounts", self._list, {"add": self._add, "undelete": self._undelete}, admin=True, menu="Accounts"),
            Page("/admin/accounts/of", self._one.show, self._one.actions(), admin=True),
        )

    async def _list(self, visit: Visit) -> Response:
        wanted, start = visit.argument("q").casefold(), int("0" + "".join(filter(str.isdecimal, visit.argument("from")))[:9])
        rows = [row for row in await visit.run("user.list") if wanted in row["address"]]
        domains = [row["domain"] for row in await visit.run("domain.list")]
        after = f"?{urlencode({'q': wanted, 'from': start + SHOWN})}" if len(rows) > start + SHOWN else ""
        shown = rows[start : start + SHOWN]
        return visit.page("admin/accounts.html", rows=shown, count=len(rows), q=wanted, after=after, domains=domains)

    async def _add(self, visit: Visit) -> Response:
        password = visit.form.exactly("password") or None
        added = await visit.run("user.add", address=visit.form["address"], password=password, quota=visit.form["quota"] or None)
        if added["password"] is None:
            return visit.back(f"{added['address']} added.")
        return visit.page("admin/password.html", address=added["address"], password=added["password"], done="added")

    async def _undelete(self, visit: Visit) -> Response:
        back = await visit.run("user.undelete", address=visit.form["removed"])
        return visit.page("admin/password.html", address=back["address"], password=back["password"], done="back")
