"""The certificates that are served: from where they come, until when they are good, and anew."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class CertificatePages:
    """/admin/certificates: by the last handshakes with ourselves, which are made anew when one asks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"renew": self._renew, "look": self._look}
        return self._desk.routes(Page("/admin/certificates", self._show, actions, admin=True, menu="Certificates"))

    async def _show(self, visit: Visit) -> Response:
        rows: list[dict[str, object]] = await self._perhaps(visit, "tls.served", kept=True) or []
        served: dict[tuple[object, ...], list[str]] = {}
        for row in rows:
            if row["issuer"]:
                listeners = served.setdefault((row["names"], row["issuer"], row["not_after"], row["days"]), [])
                listeners += [str(row["listener"])] if row["listener"] not in listeners else []
        return visit.page(
            "admin/certificates.html",
            served=served,
            wrong=[row for row in rows if row["problem"]],
            asked=await self._perhaps(visit, "tls.status"),
            own=await self._perhaps(visit, "tls.ca"),
            records=await self._perhaps(visit, "tls.record"),
        )

    async def _perhaps(self, visit: Visit, name: str, **arguments: Any) -> Any:
        """What an operation says; None where it has nothing to say in this mode."""
        try:
            return await visit.run(name, **arguments)
        except Refused:
            return None

    async def _look(self, visit: Visit) -> Response:
        rows = await visit.run("tls.served")
        wrong = sum(row["problem"] is not None for row in rows)
        return visit.back(f"{len(rows)} handshakes, {len(rows) - wrong} of them right.")

    async def _renew(self, visit: Visit) -> Response:
        await visit.run("tls.renew", host=visit.form["name"] or None)
        return visit.back("The authority was asked; below is what came of it.")
