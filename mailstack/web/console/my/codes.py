"""One-time codes of an authenticator: set up, taken away, and the codes for the day on which the telephone is gone."""

import asyncio

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.my.qr import picture
from mailstack.web.console.visit import Page, Refused, Visit


class CodesPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"begin": self._begin, "confirm": self._confirm, "recovery": self._recovery, "off": self._off}
        return self._desk.routes(Page("/my/codes", self._show, actions))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, uri: str = "", secret: str = "", recovery: list[str] | None = None) -> Response:
        code = await asyncio.to_thread(picture, uri) if uri else ""
        values = {"uri": uri, "secret": secret, "picture": code, "recovery": recovery or []}
        return visit.page("my/codes.html", state=await visit.own("user.totp.show"), **values)

    async def _begin(self, visit: Visit) -> Response:
        await visit.demand_password()
        made = await visit.own("user.totp.begin")
        return await self._page(visit, made["uri"], made["secret"])

    async def _confirm(self, visit: Visit) -> Response:
        """A code that is wrong leaves the picture where it is."""
        try:
            made = await visit.own("user.totp.confirm", code=visit.form["code"])
        except Refused as problem:
            visit.problem = str(problem)
            return await self._page(visit, visit.form["uri"], visit.form["secret"])
        return await self._page(visit, recovery=made["recovery"])

    async def _recovery(self, visit: Visit) -> Response:
        await visit.demand_password()
        return await self._page(visit, recovery=(await visit.own("user.totp.recovery"))["recovery"])

    async def _off(self, visit: Visit) -> Response:
        await visit.demand_password()
        await visit.own("user.totp.off")
        return visit.back("One-time codes are off: the password alone is enough.")
