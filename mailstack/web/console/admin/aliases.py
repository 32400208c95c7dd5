"""Aliases, and those that are mailing lists."""

from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.store.users.mailings import Posting
from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit


class AliasPages:
    """/admin/aliases, and a page for each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        change = {"add": self._add_target, "remove": self._remove, "remove-all": self._remove_all}
        change |= {"list": self._set, "plain": self._unset}
        return self._desk.routes(
            Page("/admin/aliases", self._list, {"add": self._add}, admin=True, menu="Aliases"),
            Page("/admin/aliases/of", self._show, change, admin=True),
        )

    async def _aliases(self, visit: Visit) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in await visit.run("alias.list"):
            found.setdefault(row["source"], []).append(row["target"])
        return found

    async def _list(self, visit: Visit) -> Response:
        wanted = visit.argument("q").casefold()
        lists = {row["address"] for row in await visit.run("alias.lists")}
        rows = [
            {"source": source, "targets": targets, "list": source in lists}
            for source, targets in sorted((await self._aliases(visit)).items())
            if any(wanted in text.casefold() for text in (source, *targets))
        ]
        return visit.page("admin/aliases.html", rows=rows, q=wanted)

    async def _add(self, visit: Visit) -> Response:
        address, targets = visit.form["address"], visit.form.words("targets")
        if not targets:
            raise Refused("An alias leads to at least one address.")
        await visit.run("alias.add", address=address, targets=targets)
        return visit.back(f"{address} leads to {', '.join(targets)} now.")

    async def _show(self, visit: Visit) -> Response:
        source = visit.argument("source")
        targets = (await self._aliases(visit)).get(source)
        if targets is None:
            return visit.back(f"There is no alias {source}.", "/admin/aliases")
        mailing = next((row for row in await visit.run("alias.lists") if row["address"] == source), None)
        posts = [one.value for one in Posting]
        return visit.page("admin/alias.html", source=source, targets=targets, mailing=mailing, posts=posts)

    async def _add_target(self, visit: Visit) -> Response:
        await visit.run("alias.add", address=visit.argument("source"), targets=visit.form.words("targets"))
        return visit.back("Added.")

    async def _remove(self, visit: Visit) -> Response:
        source = visit.argument("source")
        await visit.run("alias.remove", address=source, target=visit.form["target"])
        left = source in await self._aliases(visit)
        path = f"/admin/aliases/of?{urlencode({'source': source})}" if left else "/admin/aliases"
        return visit.back(f"{visit.form['target']} removed.", path)

    async def _remove_all(self, visit: Visit) -> Response:
        if not visit.form["sure"]:
            raise Refused("Tick the box if that is what you want.")
        await visit.run("alias.remove", address=visit.argument("source"))
        return visit.back(f"{visit.argument('source')} removed.", "/admin/aliases")

    async def _set(self, visit: Visit) -> Response:
        form = visit.form
        await visit.run(
            "alias.set",
            address=visit.argument("source"),
            post=form["post"] or None,
            posters=form.words("posters"),
            title=form["title"],
            owner=form["owner"],
            unsubscribe=form["unsubscribe"],
        )
        return visit.back("The list is set.")

    async def _unset(self, visit: Visit) -> Response:
        await visit.run("alias.unset", address=visit.argument("source"))
        return visit.back("It is a plain alias again.")
