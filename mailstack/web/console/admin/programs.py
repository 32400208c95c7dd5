"""Programs that send by the HTTP API, and those that are told what became of messages."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.delivery.webhooks import EVENTS
from mailstack.web.console.desk import Desk
from mailstack.web.console.forms import Form
from mailstack.web.console.visit import Page, Refused, Visit


class ProgramPages:
    """/admin/programs"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"token": self._token, "revoke": self._revoke, "hook": self._hook, "test": self._test, "forget": self._forget}
        return self._desk.routes(Page("/admin/programs", self._show, actions, admin=True, menu="Programs"))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, token: str = "", secret: str = "") -> Response:
        """A secret is on this page, and on none after it."""
        return visit.page(
            "admin/programs.html",
            tokens=await visit.run("api-token.list"),
            hooks=await visit.run("webhook.list"),
            accounts=[row["address"] for row in await visit.run("user.list")],
            events=EVENTS,
            token=token,
            secret=secret,
        )

    async def _token(self, visit: Visit) -> Response:
        """One that may do everything is made by the command alone."""
        if not visit.form["account"]:
            raise Refused("Name the account that it sends as.")
        await visit.demand_password()
        made = await visit.run("api-token.add", label=visit.form["label"], account=visit.form["account"])
        visit.form = Form()
        return await self._page(visit, token=made["token"])

    async def _revoke(self, visit: Visit) -> Response:
        await visit.run("api-token.remove", label=visit.form.exactly("label"))
        return visit.back(f"{visit.form['label']} is void.")

    async def _hook(self, visit: Visit) -> Response:
        form = visit.form
        await visit.demand_password()
        made = await visit.run("webhook.add", url=form["url"], events=form.every("event"), account=form["of"] or None)
        visit.form = Form()
        return await self._page(visit, secret=made["secret"])

    async def _test(self, visit: Visit) -> Response:
        await visit.run("webhook.test", id=visit.form["id"])
        return visit.back("It was sent an event of the type “test”, and took it.")

    async def _forget(self, visit: Visit) -> Response:
        await visit.run("webhook.remove", id=visit.form["id"])
        return visit.back("It is told nothing more.")
