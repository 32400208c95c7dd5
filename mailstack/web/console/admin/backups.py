"""Backups: what became of the last one, one now, and an account's mail out of one."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit

AT_ONCE = 0.5  # seconds within which what can't be begun has said so


class BackupPages:
    """/admin/backups"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"now": self._now, "bring": self._bring}
        return self._desk.routes(Page("/admin/backups", self._show, actions, admin=True, menu="Backups"))

    async def _show(self, visit: Visit) -> Response:
        backup = await visit.run("backup.last")
        rows = await visit.run("backup.list") if backup["folder"] else []
        bringing = [job for job in await visit.run("job.list") if job["name"] == "backup.bring"][:-4:-1]
        accounts = [row["address"] for row in await visit.run("user.list")] if rows else []
        return visit.page("admin/backups.html", backup=backup, rows=rows, bringing=bringing, accounts=accounts)

    async def _now(self, visit: Visit) -> Response:
        await self._begin(visit, "backup.begin")
        return visit.back()

    async def _bring(self, visit: Visit) -> Response:
        if not visit.form["account"]:
            raise Refused("Name the account whose mail is wanted.")
        await self._begin(visit, "backup.bring.begin", account=visit.form["account"], backup=visit.form["backup"])
        return visit.back()

    async def _begin(self, visit: Visit, name: str, **arguments: Any) -> None:
        """Raises Refused for what ends at once without having been done."""
        begun = await visit.run(name, **arguments)
        state = await visit.run("job.status", job=begun["job"], wait=AT_ONCE)
        if state["ended"] and "error" in state["answer"]:
            raise Refused(state["answer"]["error"])
