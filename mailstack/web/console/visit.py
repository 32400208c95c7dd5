"""One request of somebody who is logged in, and what a page can do for him."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailstack.control.operations import run
from mailstack.log import get_logger
from mailstack.policy.login import Channel, Login
from mailstack.store.users.directory import AccountRecord
from mailstack.store.users.scope import Protocol
from mailstack.store.users.sessions import Session
from mailstack.web.console.cookies import set_cookie
from mailstack.web.console.forms import Form

if TYPE_CHECKING:
    from mailstack.web.console.desk import Desk

log = get_logger()
FORM_LIMIT = 64 << 10  # octets
TOLD = frozenset({"address", "domain", "id", "user", "network", "source", "target", "targets", "label", "quota", "off"})


class Refused(Exception):
    """What can't be done, in words for the one who asked: the page is shown again, with them."""


@dataclass(slots=True)
class Visit:
    """`form`: what was sent, also when the page is shown again; empty on a GET. `problem`: why it was refused."""

    desk: "Desk"
    request: Request
    account: AccountRecord
    session: Session
    token: str
    form: Form = field(default_factory=Form)
    problem: str | None = None
    acting: bool = False  # an action of a form runs, whose operations are written down

    @property
    def csrf(self) -> str:
        """What each form of this session carries."""
        return hmac.digest(self.token.encode(), b"csrf", "sha256").hex()

    @property
    def peer(self) -> str:
        return self.request.client.host if self.request.client else ""

    def argument(self, name: str) -> str:
        """A part of the path, or of the query; empty where it is missing."""
        found = self.request.path_params.get(name, self.request.query_params.get(name, ""))
        return str(found).strip()

    def page(self, template: str, **values: Any) -> Response:
        """A page by its template, which knows `visit`, and what is given."""
        status = 422 if self.problem else 200
        return self.desk.templates.answer(template, status, {**values, "visit": self, "told": self.desk.told(self)})

    def back(self, text: str = "", path: str = "") -> Response:
        """To a page (this one), which then tells what was done."""
        if text:
            self.desk.tell(self, text)
        here = self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else "")
        return RedirectResponse(path or here, 303)

    async def run(self, name: str, **arguments: Any) -> Any:
        """An operation, as its command does it. Raises Refused. What an action did is in the log, with who did it."""
        answer = await run(self.desk.operations, name, arguments)
        if self.acting:
            told = {key: value for key, value in arguments.items() if key in TOLD}
            log.info("console.did", do=name, by=self.account.address, peer=self.peer, problem=answer.get("error"), what=told)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["ok"]

    async def own(self, name: str, **arguments: Any) -> Any:
        """An operation on the account of the one who asks, and on no other."""
        return await self.run(name, **{**arguments, "address": self.account.address})

    async def demand_password(self) -> None:
        """Raises Refused where the form lacks the account's own password: who holds a session alone has it not."""
        if not await self.proves(self.form.exactly("password")):
            raise Refused("that is not your password")

    async def proves(self, password: str) -> bool:
        """Whether this is the account's own password."""
        channel = Channel(self.peer, True, Protocol.WEB, self.request.headers.get("user-agent", ""))
        found = await self.desk.behind.logins.password(channel, self.account.address, password)
        return isinstance(found, Login) and found.account.address == self.account.address

    async def stay(self, response: Response) -> Response:
        """A new session for this browser, where the password was changed by its owner, which ended all."""
        record = (await self.desk.behind.directory.entry(self.account.address)).account
        agent = self.request.headers.get("user-agent", "")
        if record is not None:
            token = await self.desk.behind.sessions.begin(record.address, record.password, self.peer, agent)
            if token is not None:
                set_cookie(self.request, response, token)
        return response


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A path with what it shows, and the actions of its forms by the value of their field `do`. Guarded by Desk.routes()."""

    path: str
    show: Handler
    actions: Mapping[str, Handler] = field(default_factory=dict)
    admin: bool = False
    menu: str = ""  # its name in the menu; empty: it is not there
    form_limit: int = FORM_LIMIT
