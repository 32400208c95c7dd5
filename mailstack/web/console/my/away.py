"""The answer while its owner is away."""

import datetime

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.sieve.forms.checking import problems
from mailstack.sieve.forms.model import Forms, Vacation
from mailstack.web.console.desk import Desk
from mailstack.web.console.forms import Form
from mailstack.web.console.my import words
from mailstack.web.console.my.rulebook import Rulebook, save
from mailstack.web.console.visit import Page, Refused, Visit


class AwayPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/my/away", self._show, {"save": self._save}, menu="Away"))

    async def _show(self, visit: Visit) -> Response:
        book = await Rulebook.of(visit)
        return visit.page("my/away.html", book=book, away=book.forms.vacation)

    async def _save(self, visit: Visit) -> Response:
        wanted = _vacation(visit.form)
        if found := problems(Forms(vacation=wanted)):
            raise Refused("\n".join(words.fault(one) for one in found))
        await save(visit, vacation=wanted)
        return visit.back("Saved: mail is answered." if wanted.on else "Saved: mail is not answered.")


def _vacation(form: Form) -> Vacation:
    """Raises Refused."""
    days = form["days"] or "7"
    if not days.isascii() or not days.isdigit() or len(days) > 3:
        raise Refused("Days: a number.")
    return Vacation(
        form["on"] == "yes",
        form["text"].replace("\r\n", "\n"),
        form["subject"],
        _day(form["first"]),
        _day(form["last"]),
        int(days),
        tuple(form.words("addresses")),
    )


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused(f"{text!r} is no day like 2027-04-30") from None
