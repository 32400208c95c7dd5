"""Where all mail is sent on to."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.sieve.forms.checking import problems
from mailstack.sieve.forms.model import Forms, Forwarding
from mailstack.web.console.desk import Desk
from mailstack.web.console.my import words
from mailstack.web.console.my.rulebook import Rulebook, save
from mailstack.web.console.visit import Page, Refused, Visit


class ForwardingPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/my/forwarding", self._show, {"save": self._save}, menu="Forwarding"))

    async def _show(self, visit: Visit) -> Response:
        book = await Rulebook.of(visit)
        found = await visit.own("user.show")
        return visit.page("my/forwarding.html", book=book, forwarding=book.forms.forwarding, found=found)

    async def _save(self, visit: Visit) -> Response:
        book = await Rulebook.of(visit)
        wanted = Forwarding(tuple(dict.fromkeys(visit.form.words("addresses"))), keep=visit.form["keep"] != "no")
        if visit.account.address in [address.lower() for address in wanted.addresses]:
            raise Refused("mail for this account is not sent on to this account")
        if found := problems(Forms(forwarding=wanted), book.redirects):
            raise Refused("\n".join(words.fault(one) for one in found))
        await save(visit, forwarding=wanted)
        return visit.back("Saved: mail is sent on." if wanted.addresses else "Saved: mail is not sent on.")
