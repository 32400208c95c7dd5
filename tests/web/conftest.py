"""The console of the shared server, and who looks at it."""

from typing import Any

import pytest

from mailstack.control.client import ask
from tests.support.browser import Browser
from tests.support.server import DOMAIN, Server


class Operations:
    """What commands ask of the running server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, name: str, **arguments: object) -> Any:
        answer = ask(self._server.data / "control.sock", name, arguments)
        assert answer is not None
        assert "ok" in answer, answer
        return answer["ok"]


@pytest.fixture(scope="session")
def operate(server: Server) -> Operations:
    return Operations(server)


@pytest.fixture
def browser(server: Server, account: str) -> Browser:
    """Somebody who is no admin."""
    one = Browser(server)
    assert one.log_in(account).headers["location"] == "/"
    return one


@pytest.fixture(scope="session")
def admin(server: Server, operate: Operations) -> Browser:
    """alice, who is one."""
    operate("user.admin", address=f"alice@{DOMAIN}")
    one = Browser(server)
    assert one.log_in("alice").status_code == 303
    return one
