"""The account's password, the browsers that are logged in, and who came in."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.visit import Page, Refused, Visit

SHORTEST = 10  # characters of a password that a person thinks up


class SecurityPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        actions = {"password": self._password, "end": self._end, "end-others": self._end_others}
        return self._desk.routes(Page("/my/security", self._show, actions, menu="Password & logins"))

    async def _show(self, visit: Visit) -> Response:
        return visit.page(
            "my/security.html",
            sessions=await visit.own("user.session.list"),
            codes=await visit.own("user.totp.show"),
            logins=await visit.own("user.logins"),
            changed=visit.argument("changed") == "yes",
            shortest=SHORTEST,
        )

    async def _password(self, visit: Visit) -> Response:
        new = visit.form.exactly("new")
        if new != visit.form.exactly("again"):
            raise Refused("the two new passwords differ")
        if len(new) < SHORTEST:
            raise Refused(f"a password has {SHORTEST} characters or more")
        if not await visit.proves(visit.form.exactly("old")):
            raise Refused("that is not your password of now")
        await visit.own("user.passwd", password=new)
        # Told by the address: what is told otherwise goes with the session, which is another one now.
        return await visit.stay(visit.back(path="/my/security?changed=yes"))

    async def _end(self, visit: Visit) -> Response:
        await visit.own("user.session.end", id=visit.form["id"])
        return visit.back("That browser is logged out.")

    async def _end_others(self, visit: Visit) -> Response:
        ended = (await visit.own("user.session.end", but=visit.session.digest))["ended"]
        return visit.back(f"{ended} other {'browser is' if ended == 1 else 'browsers are'} logged out.")
