"""What waits, and why; what an admin may do about it."""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit

SHOWN = 200


class QueuePages:
    """/admin/queue, and a page for each message."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        some = {"retry": self._retry, "hold": self._hold, "release": self._release}
        return self._desk.routes(
            Page("/admin/queue", self._list, {**some, "retry-all": self._retry_all}, admin=True, menu="Queue"),
            Page("/admin/queue/of", self._show, {**some, "drop": self._drop}, admin=True),
        )

    async def _list(self, visit: Visit) -> Response:
        wanted = visit.argument("q").casefold()
        every = await visit.run("queue.list")
        rows = await asyncio.to_thread(lambda: [row for row in every if wanted in _words(row)])
        return visit.page("admin/queue.html", rows=[_row(row) for row in rows[:SHOWN]], count=len(rows), q=wanted)

    async def _show(self, visit: Visit) -> Response:
        try:
            row = await visit.run("queue.show", id=visit.argument("id"))
        except Refused:
            return visit.back(f"{visit.argument('id')} is not in the queue any more.", "/admin/queue")
        return visit.page("admin/queued.html", row=_row(row))

    def _id(self, visit: Visit) -> str:
        return visit.form["id"] or visit.argument("id")

    async def _retry(self, visit: Visit) -> Response:
        await visit.run("queue.retry", id=self._id(visit))
        return visit.back(f"{self._id(visit)} is tried now.")

    async def _retry_all(self, visit: Visit) -> Response:
        done = await visit.run("queue.retry")
        return visit.back(f"{done['retried']} messages are tried now.")

    async def _hold(self, visit: Visit) -> Response:
        await visit.run("queue.hold", id=self._id(visit))
        return visit.back(f"{self._id(visit)} is held.")

    async def _release(self, visit: Visit) -> Response:
        await visit.run("queue.release", id=self._id(visit))
        return visit.back(f"{self._id(visit)} is let go, and due now.")

    async def _drop(self, visit: Visit) -> Response:
        if not visit.form["sure"]:
            raise Refused("Nobody would be told. Tick the box if that is what you want.")
        await visit.run("queue.drop", id=self._id(visit))
        return visit.back(f"{self._id(visit)} is gone; nobody is told.", "/admin/queue")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """With who still waits, and the last word on it."""
    waiting = [one for one in row["recipients"] if not one["done"]]
    return {**row, "waiting": waiting, "reply": next((one["reply"] for one in waiting if one["reply"]), "")}


def _words(row: dict[str, Any]) -> str:
    texts = [row["id"], row["sender"], *(f"{one['address']} {one['reply']}" for one in row["recipients"])]
    return " ".join(texts).casefold()
