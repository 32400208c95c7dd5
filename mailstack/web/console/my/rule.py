"""One rule in a form: its lines are as many as it needs, and one more, so that no script is needed in the browser."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.sieve.forms.checking import problems
from mailstack.sieve.forms.model import TARGETED, Action, Condition, Does, Forms, How, Rule, What
from mailstack.web.console.desk import Desk
from mailstack.web.console.forms import Form
from mailstack.web.console.my import words
from mailstack.web.console.my.rulebook import Rulebook, data, save
from mailstack.web.console.my.rules import number
from mailstack.web.console.my.trying import Trials
from mailstack.web.console.visit import Page, Refused, Visit

LINES = 30
NEW = Rule("", (), (), every=True)


class RulePage:
    def __init__(self, desk: Desk, trials: Trials) -> None:
        self._desk = desk
        self._trials = trials

    def routes(self) -> list[BaseRoute]:
        actions = {"save": self._save, "more": self._more, "try": self._try}
        return self._desk.routes(Page("/my/rules/edit", self._show, actions))

    async def _show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _more(self, visit: Visit) -> Response:
        """The same form with further empty lines."""
        return await self._page(visit, blank=3)

    async def _page(self, visit: Visit, blank: int = 1, **values: Any) -> Response:
        book = await Rulebook.of(visit)
        place = _place(visit, book)
        rule = _rule(visit.form) if visit.form else book.forms.rules[place] if place is not None else NEW
        conditions = [*rule.conditions, *[Condition(What.FROM)] * (blank if rule.conditions else max(blank, 2))]
        actions = [*rule.actions, *[Action(Does.MOVE)] * blank]
        empty = len(rule.conditions), len(rule.actions)
        return visit.page(
            "my/rule.html",
            book=book,
            place=place,
            rule=rule,
            conditions=conditions,
            actions=actions,
            filled=empty,
            words=words,
            mailboxes=await self._mailboxes(visit),
            **{"trial": None, **values},
        )

    async def _mailboxes(self, visit: Visit) -> list[str]:
        return [row["mailbox"] for row in (await visit.own("user.usage"))["mailboxes"]]

    async def _save(self, visit: Visit) -> Response:
        await save(visit, rules=await self._with_this(visit))
        return visit.back(f"“{visit.form['name']}” saved.", "/my/rules")

    async def _try(self, visit: Visit) -> Response:
        rules = await self._with_this(visit)
        hand = "rest" if (await Rulebook.of(visit)).hand else None
        source = (await visit.own("rules.script", hand=hand, **data({"rules": rules})))["source"]
        return await self._page(visit, trial=await self._trials.run(visit, source))

    async def _with_this(self, visit: Visit) -> tuple[Rule, ...]:
        """All rules, this one as it stands in the form. Raises Refused for what is no rule."""
        book = await Rulebook.of(visit)
        rule, place = _rule(visit.form), _place(visit, book)
        found = problems(Forms(forwarding=book.forms.forwarding, rules=(rule,)), book.redirects)
        faults = [fault for fault in found if fault.where.startswith("rules")]
        if faults:
            raise Refused("\n".join(words.fault(one) for one in faults[:10]))
        rules = list(book.forms.rules)
        if place is None:
            return (*rules, rule)
        rules[place] = rule
        return tuple(rules)


def _place(visit: Visit, book: Rulebook) -> int | None:
    text = visit.form["rule"] or visit.argument("rule")
    return number(text, len(book.forms.rules)) if text else None


def _rule(form: Form) -> Rule:
    conditions = [_condition(form, line) for line in range(LINES) if form[f"what-{line}"]]
    actions = [_action(form, line) for line in range(LINES) if form[f"does-{line}"]]
    return Rule(
        form["name"],
        tuple(one for one in conditions if one is not None),
        tuple(one for one in actions if one is not None),
        every=form["every"] != "any",
        enabled=form["enabled"] == "yes",
    )


def _condition(form: Form, line: int) -> Condition | None:
    kind = words.KINDS.get(form[f"what-{line}"])
    value, header = form[f"value-{line}"], form[f"header-{line}"]
    if kind is None:
        return None
    _, what, how, negated = kind
    if how is How.IS:
        return Condition(what, how, negated=negated)
    if how is not None:
        return Condition(what, how, value.replace(" ", "").removesuffix("B").removesuffix("b").removesuffix("i"))
    _, how, negated = words.HOWS.get(form[f"how-{line}"], words.HOWS["contains"])
    return Condition(what, how, value, header if what is What.HEADER else "", negated)


def _action(form: Form, line: int) -> Action | None:
    try:
        does = Does(form[f"does-{line}"])
    except ValueError:
        return None
    return Action(does, form[f"target-{line}"] if does in TARGETED else "")
