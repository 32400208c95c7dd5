"""The account's Sieve scripts as text: for who writes them by hand."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.sieve.forms.reading import read
from mailstack.web.console.desk import Desk
from mailstack.web.console.my.trying import Trials
from mailstack.web.console.visit import Page, Refused, Visit

FORM_LIMIT = 1 << 20  # octets: percent signs make three of one
BESIDE = 3  # lines that are shown before and after a mistake


class ScriptPage:
    def __init__(self, desk: Desk, trials: Trials) -> None:
        self._desk = desk
        self._trials = trials

    def routes(self) -> list[BaseRoute]:
        actions = {
            "check": self._check,
            "save": self._save,
            "try": self._try,
            "activate": self._activate,
            "remove": self._remove,
        }
        return self._desk.routes(Page("/my/rules/script", self._show, actions, form_limit=FORM_LIMIT))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, **values: object) -> Response:
        scripts = await visit.own("sieve.list")
        name = visit.form["script"] or visit.argument("script")
        active = next((row["name"] for row in scripts if row["active"]), None)
        shown = name or active or ""
        if "source" in visit.form:
            source = visit.form.exactly("source")
        elif any(row["name"] == shown for row in scripts):
            source = (await visit.own("sieve.show", script=shown))["script"]
        else:
            source = ""
        found = {"scripts": scripts, "name": shown, "source": source, "made": read(source) is not None}
        return visit.page("my/script.html", **{**found, "fault": None, "excerpt": [], "right": False, "trial": None, **values})

    async def _check(self, visit: Visit) -> Response:
        fault = await self._fault(visit)
        if fault is None:
            return await self._page(visit, right=True)
        return await self._page(visit, fault=fault, excerpt=_excerpt(_source(visit), fault["line"]))

    async def _fault(self, visit: Visit) -> dict[str, object] | None:
        found: dict[str, object] = await visit.own("sieve.check", source=_source(visit))
        return found if found["line"] is not None else None

    async def _save(self, visit: Visit) -> Response:
        """What is no script is not kept: the line that is wrong is shown."""
        if await self._fault(visit) is not None:
            return await self._check(visit)
        active = visit.form["active"] == "yes"
        await visit.own("sieve.put", script=visit.form["script"], source=_source(visit), active=active)
        return visit.back(f"“{visit.form['script']}” saved.", "/my/rules/script" if active else "")

    async def _try(self, visit: Visit) -> Response:
        if await self._fault(visit) is not None:
            return await self._check(visit)
        return await self._page(visit, trial=await self._trials.run(visit, _source(visit)))

    async def _activate(self, visit: Visit) -> Response:
        await visit.own("sieve.activate", script=visit.form["which"])
        return visit.back(
            f"Mail goes by “{visit.form['which']}” now." if visit.form["which"] else "Mail goes by no script now."
        )

    async def _remove(self, visit: Visit) -> Response:
        if not visit.form["which"]:
            raise Refused("choose a script")
        await visit.own("sieve.remove", script=visit.form["which"])
        return visit.back(f"“{visit.form['which']}” removed.")


def _source(visit: Visit) -> str:
    return visit.form.exactly("source").replace("\r\n", "\n")


def _excerpt(source: str, line: object) -> list[tuple[int, str, bool]]:
    """The lines around a mistake: number, text, whether it is the one."""
    assert isinstance(line, int)
    lines = source.split("\n")
    first = max(line - 1 - BESIDE, 0)
    return [(place + 1, lines[place][:300], place + 1 == line) for place in range(first, min(line + BESIDE, len(lines)))]
