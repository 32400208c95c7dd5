"""What the pages of rules, of the answer while away and of forwarding share: the forms, read and saved."""

from dataclasses import dataclass
from typing import Any

from mailstack.sieve.forms.model import Forms
from mailstack.sieve.forms.reading import of_data, to_data
from mailstack.web.console.visit import Visit


@dataclass(frozen=True, slots=True)
class Rulebook:
    """`hand`: the name of the active script, where a hand wrote it: until its owner decided, forms are not asked."""

    forms: Forms
    version: str
    hand: str | None
    active: bool
    redirects: int

    @classmethod
    async def of(cls, visit: Visit) -> "Rulebook":
        found = await visit.own("rules.show")
        return cls(of_data(found["forms"]), found["version"], found["hand"], found["active"], found["redirects"])


async def save(visit: Visit, **parts: object) -> None:
    """`vacation`, `forwarding` or `rules`, as values of the model. Raises Refused."""
    # The page that was filled in is what was decided on: not what another one saved meanwhile.
    more = {"version": visit.form["version"]} if visit.form["version"] else {}
    await visit.own("rules.save", hand=visit.form["hand"] or None, **more, **data(parts))


def data(parts: dict[str, object]) -> dict[str, Any]:
    return {name: to_data(value) for name, value in parts.items()}
