"""The rules of an account: in their order, on or off, and what they would have done."""

from collections.abc import Callable
from dataclasses import replace

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.sieve.forms.model import Rule
from mailstack.web.console.desk import Desk
from mailstack.web.console.my import words
from mailstack.web.console.my.rulebook import Rulebook, save
from mailstack.web.console.my.trying import Trials
from mailstack.web.console.visit import Handler, Page, Refused, Visit

Change = Callable[[list[Rule], int], None]


class RulesPage:
    def __init__(self, desk: Desk, trials: Trials) -> None:
        self._desk = desk
        self._trials = trials

    def routes(self) -> list[BaseRoute]:
        actions = {
            "up": self._changes(_up),
            "down": self._changes(_down),
            "switch": self._changes(_switch),
            "remove": self._changes(lambda rules, place: rules.__delitem__(place)),
            "decide": self._decide,
            "try": self._try,
        }
        return self._desk.routes(Page("/my/rules", self._show, actions, menu="Rules"))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, **values: object) -> Response:
        book = await Rulebook.of(visit)
        rules = [(rule, *words.rule(rule)) for rule in book.forms.rules]
        return visit.page("my/rules.html", book=book, rules=rules, **{"trial": None, **values})

    def _changes(self, change: Change) -> Handler:
        async def act(visit: Visit) -> Response:
            rules = list((await Rulebook.of(visit)).forms.rules)
            place = number(visit.form["rule"], len(rules))
            change(rules, place)
            await save(visit, rules=tuple(rules))
            return visit.back("Saved.")

        return act

    async def _decide(self, visit: Visit) -> Response:
        """What becomes of a script that a hand wrote."""
        if visit.form["hand"] not in ("after", "rest"):
            raise Refused("choose what becomes of the script")
        await save(visit)
        return visit.back("Saved. Mail goes by these rules now.")

    async def _try(self, visit: Visit) -> Response:
        hand = "rest" if (await Rulebook.of(visit)).hand else None
        source = (await visit.own("rules.script", hand=hand))["source"]
        return await self._page(visit, trial=await self._trials.run(visit, source))


def number(text: str, end: int) -> int:
    """A place among rules. Raises Refused."""
    if not text.isascii() or not text.isdigit() or int(text[:6]) >= end:
        raise Refused("there is no such rule any more")
    return int(text)


def _up(rules: list[Rule], place: int) -> None:
    rules.insert(max(place - 1, 0), rules.pop(place))


def _down(rules: list[Rule], place: int) -> None:
    rules.insert(place + 1, rules.pop(place))


def _switch(rules: list[Rule], place: int) -> None:
    rules[place] = replace(rules[place], enabled=not rules[place].enabled)
