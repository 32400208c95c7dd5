"""A disk that fills up under load, through the whole appliance: no 250 and no OK for what can't be kept; then work goes on."""

import contextlib
import json
import os
import shutil
import smtplib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.load import USERS, Ledger, Load, mail, verify
from tests.support.server import DOMAIN, NETWORK_PROBLEMS, Server
from tests.support.sink import CountingSink

NEEDED = ("mkfs.ext4", "losetup", "mount", "umount")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.crash,
    pytest.mark.powercut,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}"),
]


@contextlib.contextmanager
def small_disc(folder: Path, kind: str) -> Iterator[Path]:
    place = folder / "disc"
    place.mkdir()
    if kind == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], check=True)
    else:
        with open(folder / "disc.img", "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", str(folder / "disc.img")], check=True)
        subprocess.run(["mount", "-o", "loop", str(folder / "disc.img"), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Down to the last octet."""
    ballast = place / "ballast"
    with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 65536, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return ballast


def refusals(server: Server) -> dict[str, object]:
    """What the doors say now."""
    said: dict[str, object] = {}
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=30) as client:
        try:
            client.sendmail("sender@far.test", [f"alice@{DOMAIN}"], mail("never", 20000))
            said["smtp"] = 250
        except smtplib.SMTPDataError as problem:
            said["smtp"] = problem.smtp_code
        except smtplib.SMTPRecipientsRefused as problem:
            said["smtp"] = problem.recipients[f"alice@{DOMAIN}"][0]
    connection = server.imap("alice")
    try:
        said["imap"] = connection.append("INBOX", None, None, mail("never", 20000))[0]  # type: ignore[arg-type]
        connection.select("INBOX", readonly=True)
        said["reading"] = connection.uid("FETCH", "1:*", "(FLAGS)")[0]
    finally:
        connection.shutdown()
    return said


def wait_for_what_is_owed(server: Server) -> None:
    """A message that one mailbox took and another could not is owed to that one by the queue."""
    end = time.monotonic() + 60
    while True:
        queued = json.loads(server.run("queue", "list", "--json").stdout)
        owed = [one for row in queued for one in row["recipients"] if one["address"].endswith(f"@{DOMAIN}") and not one["done"]]
        if not owed:
            return
        assert time.monotonic() < end, owed[:5]
        threading.Event().wait(0.2)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_and_space_again(tmp_path: Path, kind: str) -> None:
    with small_disc(tmp_path, kind) as place, CountingSink() as sink:
        server = Server(tmp_path, place / "data", users=USERS, smarthost=sink.port, forked=False)
        server.provision()
        ledger = Ledger()
        try:
            server.start()
            for round in range(2):
                with Load(server, ledger, round, relay=True) as load:
                    load.stop.wait(2.0)
                    ballast = fill(place)
                    load.stop.wait(2.0)
                assert server.process is not None
                assert server.process.poll() is None, server.log_tail()
                fill(place)
                said = refusals(server)
                assert str(said["smtp"])[0] == "4", said
                assert said["imap"] == "NO", said
                assert said["reading"] == "OK", said
                ballast.unlink()
                end = time.monotonic() + 60
                while True:
                    with contextlib.suppress(*NETWORK_PROBLEMS):
                        with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=30) as client:
                            token = f"after{round}"
                            ledger.try_(token, ("alice", "INBOX"))
                            client.sendmail("sender@far.test", [f"alice@{DOMAIN}"], mail(token))
                            ledger.done(token, ("alice", "INBOX"))
                            break
                    assert time.monotonic() < end, "no mail is taken though there is space again"
                    threading.Event().wait(0.2)
                wait_for_what_is_owed(server)
                verify(server, ledger)
            assert ledger.relayed <= sink.wait_for(ledger.relayed, 60.0)
            server.stop()
            server.start()
            wait_for_what_is_owed(server)
            verify(server, ledger)
            assert ledger.acknowledged > 20
        finally:
            server.kill()
