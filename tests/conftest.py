"""Fixtures for all tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running appliance for all tests of a worker; each test uses accounts of its own: server.account()."""
    users = ("alice", "bob", *(f"user{n}" for n in range(400)))
    one = Server(tmp_path_factory.mktemp("server"), users=users, settings="[limits]\nmessages = 1000000\n")
    one.provision()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def account(server: Server) -> str:
    """An account that no other test of this worker uses."""
    return unused(server)


def unused(server: Server) -> str:
    """A further one."""
    number = getattr(server, "used_accounts", 0)
    server.used_accounts = number + 1  # type: ignore[attr-defined]
    return f"user{number}"


@pytest.fixture
def world_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="mailstack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
