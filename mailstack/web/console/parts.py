"""All parts of the console, in the order of its menu."""

from collections.abc import Callable
from typing import Protocol

from starlette.routing import BaseRoute

from mailstack import __version__
from mailstack.web.console.admin.accounts import AccountPages
from mailstack.web.console.admin.aliases import AliasPages
from mailstack.web.console.admin.backups import BackupPages
from mailstack.web.console.admin.certificates import CertificatePages
from mailstack.web.console.admin.domains import DomainPages
from mailstack.web.console.admin.programs import ProgramPages
from mailstack.web.console.admin.queue import QueuePages
from mailstack.web.console.admin.reports import ReportPages
from mailstack.web.console.admin.status import StatusPages
from mailstack.web.console.admin.trace import TracePages
from mailstack.web.console.assets import Assets
from mailstack.web.console.desk import Behind, Desk
from mailstack.web.console.home import ErrorPages, HomePage
from mailstack.web.console.login import LoginPages
from mailstack.web.console.my.pages import MyPages
from mailstack.web.console.templates import Templates


class Part(Protocol):
    def routes(self) -> list[BaseRoute]: ...


def pages_of(desk: Desk, clock: Callable[[], float]) -> tuple[Part, ...]:
    """In the order of the menu."""
    return (
        LoginPages(desk, clock),
        StatusPages(desk, desk.behind.data, clock),
        DomainPages(desk),
        AccountPages(desk),
        AliasPages(desk),
        QueuePages(desk),
        TracePages(desk),
        ReportPages(desk),
        CertificatePages(desk),
        BackupPages(desk),
        ProgramPages(desk),
        MyPages(desk),
        HomePage(desk),
    )


class Console:
    """`explain`: for all that this site refuses."""

    def __init__(self, behind: Behind, clock: Callable[[], float]) -> None:
        assets = Assets()
        self.templates = templates = Templates(hostname=behind.hostname, version=__version__, asset=assets.path)
        self._parts: tuple[Part, ...] = (assets, *pages_of(Desk(behind, templates), clock))
        self.explain = ErrorPages(templates).explain

    def routes(self) -> list[BaseRoute]:
        return [route for part in self._parts for route in part.routes()]
