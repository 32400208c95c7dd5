"""How it is: nothing on this page is remembered from the start, all of it is looked at."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Visit

DAYS = 7
SHOWN = 20
KEPT_SECONDS = 300.0
SENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and when."""

    at: float
    served: list[dict[str, Any]]
    findings: list[dict[str, Any]]


class StatusPages:
    """/admin: what is quick at once; what takes seconds (handshakes, the DNS) follows."""

    def __init__(self, desk: Desk, data: Path, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._data = data
        self._clock = clock
        self._kept: Look | None = None
        self._sent: tuple[float, list[dict[str, Any]]] | None = None

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(
            Page("/admin", self._show, {"lift": self._lift, "ban": self._ban}, admin=True, menu="Status"),
            Page("/admin/checks", self._checks, admin=True),
        )

    async def _show(self, visit: Visit) -> Response:
        values: dict[str, Any] = {
            "queue": await self._queue(visit),
            "disk": await asyncio.to_thread(shutil.disk_usage, self._data),
            "receivers": await self._receivers(visit),
            "bans": (await visit.run("ban.list"))[:SHOWN],
            "logins": await visit.run("logins.recent"),
            "backup": await visit.run("backup.last"),
            "selftest": await visit.run("selftest.last"),
            "days": DAYS,
        }
        return visit.page("admin/status.html", **values)

    async def _queue(self, visit: Visit) -> dict[str, int]:
        return await asyncio.to_thread(_count, await visit.run("queue.list"))

    async def _receivers(self, visit: Visit) -> list[dict[str, Any]]:
        """The trace of a busy server is long: one look at it is enough for a minute."""
        if self._sent is None or self._clock() - self._sent[0] > SENT_SECONDS:
            self._sent = self._clock(), await visit.run("trace.receivers", days=DAYS)
        return self._sent[1][:SHOWN]

    async def _checks(self, visit: Visit) -> Response:
        """Many questions to the DNS: what was found a moment ago is shown with its time, unless one asks for a new look."""
        kept = self._kept
        if kept is None or visit.argument("now") or self._clock() - kept.at > KEPT_SECONDS:
            served, findings = await asyncio.gather(visit.run("tls.served"), visit.run("check"))
            kept = self._kept = Look(self._clock(), served, findings)
        return visit.page("admin/checks.html", look=kept)

    async def _lift(self, visit: Visit) -> Response:
        await visit.run("ban.remove", network=visit.form["network"])
        return visit.back(f"{visit.form['network']} may log in again.")

    async def _ban(self, visit: Visit) -> Response:
        done = await visit.run("ban.add", network=visit.form["network"], seconds=visit.form["seconds"] or None)
        return visit.back(f"Nobody from {done['network']} may log in now.")


def _count(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "all": len(rows),
        "held": sum(row["held"] for row in rows),
        "failing": sum(any(one["reply"] and not one["done"] for one in row["recipients"]) for row in rows),
    }
