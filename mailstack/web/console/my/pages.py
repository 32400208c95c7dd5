"""All pages of an account's owner, in the order of the menu."""

from starlette.routing import BaseRoute

from mailstack.web.console.desk import Desk
from mailstack.web.console.my.account import AccountPage
from mailstack.web.console.my.away import AwayPage
from mailstack.web.console.my.codes import CodesPage
from mailstack.web.console.my.deleted import DeletedPage
from mailstack.web.console.my.devices import DevicesPage
from mailstack.web.console.my.forwarding import ForwardingPage
from mailstack.web.console.my.rejected import RejectedPage
from mailstack.web.console.my.rule import RulePage
from mailstack.web.console.my.rules import RulesPage
from mailstack.web.console.my.script import ScriptPage
from mailstack.web.console.my.security import SecurityPage
from mailstack.web.console.my.trying import Trials


class MyPages:
    def __init__(self, desk: Desk) -> None:
        trials = Trials()
        self._parts = (
            AccountPage(desk),
            DevicesPage(desk),
            RulesPage(desk, trials),
            RulePage(desk, trials),
            ScriptPage(desk, trials),
            AwayPage(desk),
            ForwardingPage(desk),
            RejectedPage(desk),
            DeletedPage(desk),
            SecurityPage(desk),
            CodesPage(desk),
        )

    def routes(self) -> list[BaseRoute]:
        return [route for part in self._parts for route in part.routes()]
