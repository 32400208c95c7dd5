"""Helper processes live no longer than their server, however that ends."""

import time
from pathlib import Path

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_helpers_end_with_their_server(tmp_path: Path, end: str) -> None:
    server = Server(tmp_path, users=("alice",))
    server.provision()
    server.start()
    assert server.process is not None
    with Client(server.ports["imap"]) as client:
        client.login("alice@a.test", PASSWORD)
        client.ok("SELECT INBOX")
        for number in range(40):
            client.append("INBOX", f"Subject: {number}\r\n\r\nneedle\r\n".encode())
        assert len(client.ok("UID SEARCH BODY needle")[0].value or ()) == 40  # type: ignore[arg-type]
        limit = time.monotonic() + 60
        while len(helpers := children(server.process.pid)) < 2:  # one that searches, one that fills the index
            assert time.monotonic() < limit
            time.sleep(0.05)
    getattr(server, end)()
    limit = time.monotonic() + 20
    while any(map(alive, helpers)):
        assert time.monotonic() < limit, "a helper lives on"
        time.sleep(0.05)
