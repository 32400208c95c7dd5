"""All parts of the console, in the order of its menu."""

from collections.abc import Callable

from starlette.routing import BaseRoute

from mailstack import __version__
from mailstack.web.console.assets import Assets
from mailstack.web.console.desk import Behind, Desk
from mailstack.web.console.domains import DomainPages
from mailstack.web.console.home import ErrorPages, HomePage
from mailstack.web.console.login import LoginPages
from mailstack.web.console.my.pages import MyPages
from mailstack.web.console.templates import Templates


class Console:
    """`explain`: for all that this site refuses."""

    def __init__(self, behind: Behind, clock: Callable[[], float]) -> None:
        self._assets = Assets()
        templates = Templates(hostname=behind.hostname, version=__version__, asset=self._assets.path)
        self.desk = Desk(behind, templates)
        self._login = LoginPages(self.desk, clock)
        self._domains = DomainPages(self.desk)
        self._my = MyPages(self.desk)
        self._home = HomePage(self.desk)
        self.explain = ErrorPages(templates).explain

    def routes(self) -> list[BaseRoute]:
        parts = (self._assets, self._login, self._domains, self._my, self._home)
        return [route for part in parts for route in part.routes()]
