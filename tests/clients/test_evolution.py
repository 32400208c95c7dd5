"""Evolution's own mail engine, without its windows."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def evolution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("evolution"), users=("alice", "bob"))
    one.provision()
    one.start()
    yield one
    one.stop()


DRIVER = Path(__file__).with_name("camel.py")


@pytest.mark.parametrize(
    ("user", "service", "security"),
    [("alice", "imap", "STARTTLS_ON_STANDARD_PORT"), ("bob", "imaps", "SSL_ON_ALTERNATE_PORT")],
)
def test_evolution_reads_files_flags_and_removes(
    tmp_path: Path, evolution: Server, user: str, service: str, security: str
) -> None:
    read_file_flag_and_remove(evolution, user, tmp_path, security, service)


def read_file_flag_and_remove(server: Server, user: str, folder: Path, security: str, service: str = "imap") -> None:
    environment = {**os.environ, "HOME": str(folder), "GIO_USE_NETWORK_MONITOR": "base", "GSETTINGS_BACKEND": "memory"}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    done = subprocess.run(
        ["/usr/bin/python3", str(DRIVER), str(folder), str(server.ports[service]), security, f"{user}@a.test", PASSWORD],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["inbox"] == ["first", "second", "third"]
    assert seen["text"] == "Hello\n"
    assert seen["projects"] == ["second"]
    assert seen["left"] == seen["found"] == ["first"]
    with server.imap(user) as client:
        client.select("INBOX")
        _, (answer,) = client.uid("FETCH", "1:*", "(FLAGS)")
        assert b"\\Flagged" in answer
        assert b"\\Seen" in answer
        assert b"$work" in answer
        assert client.select("Done")[1] == [b"1"]
        assert client.select("Projects")[0] == "NO"
