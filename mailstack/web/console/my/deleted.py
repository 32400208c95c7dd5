"""Deleted mail: kept for a while, and brought back."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit

SHOWN = 200


class DeletedPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"restore": self._restore, "purge": self._purge}
        return self._desk.routes(Page("/my/deleted", self._show, actions, menu="Deleted mail"))

    async def _show(self, visit: Visit) -> Response:
        rows = await visit.run("deleted.list", account=visit.account.address, limit=SHOWN)
        return visit.page("my/deleted.html", rows=rows, full=len(rows) == SHOWN)

    async def _restore(self, visit: Visit) -> Response:
        done = await visit.run("deleted.restore", account=visit.account.address, ids=_chosen(visit))
        places = ", ".join(f"{number} in {name}" for name, number in done["mailboxes"].items())
        return visit.back(f"Brought back: {places or 'nothing'}.")

    async def _purge(self, visit: Visit) -> Response:
        """A thief of the session must not be able to."""
        ids = _chosen(visit)
        await visit.demand_password()
        done = await visit.run("deleted.purge", account=visit.account.address, ids=ids)
        return visit.back(f"{done['purged']} removed for good.")


def _chosen(visit: Visit) -> list[str]:
    if ids := visit.form.every("id"):
        return ids
    raise Refused("choose some messages")
