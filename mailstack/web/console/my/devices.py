"""Devices: a password for each mail program, which can be taken back alone."""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.forms import Form
from mailstack.web.console.my.qr import picture
from mailstack.web.console.visit import Page, Visit

SCOPES = {
    "all": "Everything a mail program does",
    "read": "Reading only (IMAP and POP3)",
    "send": "Sending only (SMTP)",
    "imap": "IMAP only",
    "pop3": "POP3 only",
    "managesieve": "Rules only (ManageSieve)",
}
EXPIRES = {"": "Until it is removed", "30d": "30 days", "90d": "90 days", "365d": "A year"}

NAMES = {
    "imap": "Incoming mail (IMAP)",
    "pop3": "Incoming mail (POP3)",
    "smtp": "Outgoing mail (SMTP)",
    "managesieve": "Rules (ManageSieve)",
}


def _first(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each service the way that is best: they come in this order."""
    return list({one["kind"]: one for one in reversed(made["services"])}.values())[::-1]


class DevicesPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"add": self._add, "remove": self._remove}
        return self._desk.routes(Page("/my/devices", self._show, actions, menu="Devices"))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, made: dict[str, Any] | None = None, code: str = "") -> Response:
        rows = await visit.own("user.app-password.list")
        values = {"scopes": SCOPES, "expires": EXPIRES, "names": NAMES, "services": _first(made) if made else []}
        return visit.page("my/devices.html", rows=rows, made=made, code=code, **values)

    async def _add(self, visit: Visit) -> Response:
        """The password is on this page, and on none after it. Who holds the session alone must not get one that outlives it."""
        form = visit.form
        await visit.demand_password()
        made = await visit.own("user.device.add", label=form["label"], scope=form["scope"] or "all", expires=form["expires"])
        code = await asyncio.to_thread(picture, made["link"]) if made["link"] else ""
        visit.form = Form()
        return await self._page(visit, made, code)

    async def _remove(self, visit: Visit) -> Response:
        await visit.own("user.app-password.remove", label=visit.form.exactly("label"))
        return visit.back(f"“{visit.form['label']}” can't log in any more.")
