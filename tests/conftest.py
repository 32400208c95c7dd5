"""Fixtures for all tests."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.provider import SigningKey
from tests.support.server import TEMPLATES, Server


def pytest_configure(config: pytest.Config) -> None:
    """Data that several servers start with is made once, for all workers."""
    if not hasattr(config, "workerinput"):
        folder = os.environ[TEMPLATES] = tempfile.mkdtemp(prefix="mailstack-templates-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def everybody_may_read_it() -> None:
    """A server that ran in this process made new files its own: other users' programs must be able to read a test's."""
    os.umask(0o022)


@pytest.fixture(autouse=True)
def log_as_it_comes() -> None:
    """What a test before this one set up of the log is not this one's."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running appliance for all tests of a worker; each test uses accounts of its own: server.account()."""
    folder, key = tmp_path_factory.mktemp("server"), SigningKey("ES256", "one")
    (folder / "keys.json").write_text(json.dumps({"keys": [key.public()]}))
    oauth = f'[oauth]\nissuer = "https://id.a.test"\njwks = "{folder}/keys.json"\naudience = "mail"\n'
    asks = {"MAILSTACK_AUTH__CLIENT_CERTIFICATES": "true"}
    users = ("alice", "bob", *(f"user{n}" for n in range(400)))
    one = Server(
        folder, users=users, settings="[limits]\nmessages = 1000000\n[imap]\nurlauth = true\n" + oauth, environment=asks
    )
    one.signing_key = key  # type: ignore[attr-defined]
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
