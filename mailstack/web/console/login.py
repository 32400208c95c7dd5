"""Login and logout: the account's own password, then a one-time code where the account has them."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mailstack.log import get_logger
from mailstack.policy.login import BANNED, Channel, Denial, Denied, is_loopback
from mailstack.policy.networks import client_of
from mailstack.store.users.directory import AccountRecord
from mailstack.store.users.scope import Protocol
from mailstack.web.console.cookies import drop_cookie, set_cookie
from mailstack.web.console.desk import Desk
from mailstack.web.console.forms import Form, read_form
from mailstack.web.console.pace import Pace
from mailstack.web.console.privacy import is_own, is_private, local_path
from mailstack.web.console.visit import FORM_LIMIT, Page, Visit

log = get_logger()
TICKET_SECONDS, TICKET_TRIES, TICKETS = 300.0, 5, 10_000
WRONG = "That is not the address and password of an account here."
ANSWERS = {
    Denial.BUSY: (503, "The server is busy; try again in a moment."),
    Denial.BANNED: (429, f"{BANNED}. Try again later."),
    Denial.OUT_OF_SCOPE: (422, "That is an app password, for a mail program. Here the account's own password is needed."),
}


@dataclass(slots=True)
class _Ticket:
    """Somebody whose password was right, and whose code is missing."""

    record: AccountRecord
    until: float
    tries: int = TICKET_TRIES


class LoginPages:
    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._logins = desk.behind.logins
        self._clock = clock
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()
        self._pace = Pace(burst=20, per_minute=20)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/login", self._login, methods=["GET", "POST"]),
            *self._desk.routes(Page("/logout", self._ask, {"logout": self._logout})),
        ]

    async def _login(self, request: Request) -> Response:
        await self._desk.templates.ready()
        if not is_private(request):
            return self._desk.elsewhere(request)
        if request.method != "POST":
            after = local_path(request.query_params.get("next", "/"))
            if await self._desk.visit(request) is not None:
                return RedirectResponse(after, 303)
            return self._form(200, after=after)
        if not is_own(request):
            raise HTTPException(403, "That form did not come from this site.")
        peer = request.client.host if request.client else ""
        if not is_loopback(peer) and not self._pace.takes(client_of(peer)):
            raise HTTPException(429, "That was too much at once. Wait a minute.")
        form = await read_form(request, FORM_LIMIT)
        channel = Channel(peer, True, Protocol.WEB, request.headers.get("user-agent", ""))
        return await (self._code if form["ticket"] else self._password)(request, form, channel)

    def _form(self, status: int, **values: str) -> Response:
        page = {"problem": "", "user": "", "after": "/", "ticket": "", **values}
        return self._desk.templates.answer("login.html", status, page)

    async def _password(self, request: Request, form: Form, channel: Channel) -> Response:
        user, after = form["user"], local_path(form["next"])
        found = await self._prove(channel, user, form.exactly("password"))
        if isinstance(found, Denied):
            log.warning("web.login_failed", user=user[:100], peer=channel.peer, reason=found.denial.value)
            status, text = ANSWERS.get(found.denial, (422, WRONG))
            return self._form(status, problem=text, user=user, after=after)
        if not found.second_factor:
            return await self._enter(request, found, channel, after)
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = _Ticket(found, self._clock() + TICKET_SECONDS)
        while len(self._tickets) > TICKETS:
            self._tickets.popitem(last=False)
        return self._form(200, ticket=ticket, after=after)

    async def _prove(self, channel: Channel, user: str, password: str) -> AccountRecord | Denied:
        """The account as it is now: the hash of its password may have been made anew while it was seen."""
        found = await self._logins.password(channel, user, password)
        if isinstance(found, Denied):
            return found
        now = (await self._desk.behind.directory.entry(found.account.address)).account
        if now is not None and now.password == found.account.password:
            return now
        again = await self._logins.password(channel, user, password)
        return again if isinstance(again, Denied) else again.account

    async def _code(self, request: Request, form: Form, channel: Channel) -> Response:
        after, name = local_path(form["next"]), form["ticket"]
        ticket = self._tickets.get(name)
        if ticket is None or ticket.until < self._clock() or self._logins.refuses(channel.peer):
            self._tickets.pop(name, None)
            return self._form(422, problem="That took too long. Log in once more.", after=after)
        ticket.tries -= 1
        if ticket.tries <= 0:
            del self._tickets[name]
        if await self._desk.behind.codes.take(ticket.record.address, form["code"]):
            self._tickets.pop(name, None)
            return await self._enter(request, ticket.record, channel, after)
        self._logins.code_failed(channel, ticket.record.address)
        log.warning("web.login_failed", user=ticket.record.address, peer=channel.peer, reason="code")
        text = "That code is not right, or was used already. Wait for the next one."
        return self._form(422, problem=text, ticket=name if ticket.tries > 0 else "", after=after)

    async def _enter(self, request: Request, record: AccountRecord, channel: Channel, after: str) -> Response:
        token = await self._desk.behind.sessions.begin(record.address, record.password, channel.peer, channel.client)
        if token is None:
            return self._form(422, problem=WRONG, after=after)
        log.info("web.login", account=record.address, peer=channel.peer, code=record.second_factor)
        response = RedirectResponse(after, 303)
        set_cookie(request, response, token)
        return response

    async def _ask(self, visit: Visit) -> Response:
        return visit.page("logout.html")

    async def _logout(self, visit: Visit) -> Response:
        await self._desk.behind.sessions.end(visit.account.address, visit.session.digest)
        log.info("web.logout", account=visit.account.address, peer=visit.peer)
        response = RedirectResponse("/login", 303)
        drop_cookie(visit.request, response)
        return response
