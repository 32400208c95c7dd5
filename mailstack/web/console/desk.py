"""What all pages of the console share, and the guard before each of them."""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mailstack.control.operations import Operation
from mailstack.log import get_logger
from mailstack.policy.login import Logins
from mailstack.store.users.directory import Directory
from mailstack.store.users.second_factor import Codes
from mailstack.store.users.sessions import Sessions
from mailstack.web.console.cookies import cookie_name
from mailstack.web.console.forms import read_form
from mailstack.web.console.pace import Pace
from mailstack.web.console.privacy import is_own, is_private, to_https
from mailstack.web.console.templates import Templates
from mailstack.web.console.visit import Page, Refused, Visit

log = get_logger()
TOLD_LIMIT = 1000  # sessions with something that the next page tells


@dataclass(frozen=True, slots=True)
class Behind:
    """What the console is given. `site`: "https://mail.example.org:8443", as others reach it; None: nowhere."""

    hostname: str
    data: Path  # the folder that must not be full
    operations: Mapping[str, Operation]
    directory: Directory
    sessions: Sessions
    codes: Codes
    logins: Logins
    site: Callable[[], str | None]


class Desk:
    """One for the server."""

    def __init__(self, behind: Behind, templates: Templates) -> None:
        self.behind = behind
        self.operations = dict(behind.operations)
        self.templates = templates
        self.pages: list[Page] = []
        self._told: OrderedDict[str, list[str]] = OrderedDict()
        self._actions = Pace(burst=120, per_minute=120)

    # Pages ----------------------------------------------------------------------------------------------------------

    def routes(self, *pages: Page) -> list[BaseRoute]:
        """Routes that only those reach who may; their order is the menu's."""
        self.pages += pages
        return [Route(page.path, self._guarded(page), methods=["GET", "POST"]) for page in pages]

    def menu(self, visit: Visit) -> list[Page]:
        return [page for page in self.pages if page.menu and (visit.account.admin or not page.admin)]

    def current(self, visit: Visit) -> Page | None:
        """The entry of the menu below which a page is."""
        path = visit.request.url.path
        above = [page for page in self.menu(visit) if path == page.path or path.startswith(f"{page.path}/")]
        return max(above, key=lambda page: len(page.path), default=None)

    def menus(self, visit: Visit) -> list[tuple[str, list[Page]]]:
        """With their names: the server's, and one's own."""
        every = self.menu(visit)
        sides = {"Server": True, "Your account": False}
        found = {name: [page for page in every if page.admin is admin] for name, admin in sides.items()}
        return [(name, pages) for name, pages in found.items() if pages]

    def _guarded(self, page: Page) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            await self.templates.ready()
            if not is_private(request):
                return self.elsewhere(request)
            visit = await self.visit(request)
            if visit is None:
                return self._to_login(request)
            if page.admin and not visit.account.admin:
                raise HTTPException(403, "This page is for admins.")
            try:
                return await (page.show(visit) if request.method in ("GET", "HEAD") else self._act(page, visit))
            except Refused as problem:
                raise HTTPException(404, str(problem)) from None

        return answer

    async def _act(self, page: Page, visit: Visit) -> Response:
        if not is_own(visit.request):
            raise HTTPException(403, "That form did not come from this site.")
        visit.form = await read_form(visit.request, page.form_limit)
        if not hmac.compare_digest(visit.form["csrf"].encode(), visit.csrf.encode()):
            raise HTTPException(403, "That form is not of this session. Load the page anew, and try again.")
        if not self._actions.takes(visit.session.digest):
            raise HTTPException(429, "That was too much at once. Wait a minute.")
        action = page.actions.get(visit.form["do"])
        if action is None:
            raise HTTPException(400, "There is no such action.")
        try:
            visit.acting = True
            return await action(visit)
        except Refused as problem:
            visit.acting, visit.problem = False, str(problem)
            return await page.show(visit)

    # Who asks -------------------------------------------------------------------------------------------------------

    async def visit(self, request: Request) -> Visit | None:
        """Who is logged in with this browser."""
        token = request.cookies.get(cookie_name(request), "")
        # A page that looks again by itself is no sign that somebody is there.
        touch = "x-live" not in request.headers
        session = await self.behind.sessions.find(token, touch=touch) if token else None
        account = (await self.behind.directory.entry(session.account)).account if session is not None else None
        if session is None or account is None or account.disabled:
            return None
        return Visit(self, request, account, session, token)

    def elsewhere(self, request: Request) -> Response:
        """What is not private is not served."""
        if request.scope["state"].get("forwarded"):
            # It would come by the same way again.
            log.warning("console.proxy_not_trusted", proxy=request.scope["state"].get("direct"), path=request.url.path)
            raise HTTPException(403, "A proxy stands between that this server does not know: name it in proxy.trusted.")
        found = to_https(request, self.behind.site())
        if found is None:
            raise HTTPException(403, "The console is served over https, or to a browser on the server itself.")
        return found

    def _to_login(self, request: Request) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"hx-redirect": "/login"})
        if request.method != "GET":
            raise HTTPException(403, "You are not logged in any more.")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if path == "/" else f"/login?next={quote(path, safe='')}", 303)

    # What was done --------------------------------------------------------------------------------------------------

    def tell(self, visit: Visit, text: str) -> None:
        """On the next page that this browser shows."""
        self._told.setdefault(visit.session.digest, []).append(text)
        while len(self._told) > TOLD_LIMIT:
            self._told.popitem(last=False)

    def told(self, visit: Visit) -> list[str]:
        return self._told.pop(visit.session.digest, [])
