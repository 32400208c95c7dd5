"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running appliance for all tests of a worker; each test uses accounts of its own: server.account()."""
    one = Server(tmp_path_factory.mktemp("server"), users=("alice", "bob", *(f"user{n}" for n in range(200))))
    one.provision()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def account(server: Server) -> str:
    """An account that no other test of this worker uses."""
    number = getattr(server, "used_accounts", 0)
    server.used_accounts = number + 1  # type: ignore[attr-defined]
    return f"user{number}"
