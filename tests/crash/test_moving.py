"""kill -9 while an account is taken over: it has its old Maildir or the other one, whole, and the same command goes on."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

ROUNDS = max(2, min(80, int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6"))) // 4)  # each takes 20 seconds
COUNT = 300


def maildir(root: Path) -> None:
    for folder in (root, root / ".Old"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
        rows = [f"3 V77 N{COUNT * 2 + 1}"]
        for number in range(1, COUNT + 1):
            (folder / "cur" / f"{number}.m.far:2,S").write_bytes(b"Subject: %d\n\n%s\n" % (number, b"x" * 2000))
            rows.append(f"{number * 2} :{number}.m.far")
        (folder / "dovecot-uidlist").write_text("\n".join(rows) + "\n")


def uids(server: Server, account: str) -> dict[str, list[int]]:
    found = {}
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        for name in ("INBOX", "Old"):
            if one.run(f"SELECT {name}").kind == "OK":
                found[name] = sorted(one.fetch("1:* (FLAGS)"))
    return found


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_a_takeover_that_is_killed_goes_on(tmp_path: Path) -> None:
    chance, whole = random.Random(5), list(range(2, COUNT * 2 + 1, 2))
    maildir(tmp_path / "old")
    users = tuple(f"user{number}" for number in range(ROUNDS))
    server = Server(tmp_path, users=users, forked=False)
    server.provision()
    killed = 0
    try:
        for account in users:
            command = ("move", "in", f"{account}@a.test", str(tmp_path / "old"), "--copy")
            ended = False
            pauses = [chance.uniform(0.5, 3.0) for _ in range(4)]
            while not ended:
                server.start()
                found = uids(server, account)
                assert found in ({"INBOX": []}, {"INBOX": whole, "Old": whole}), "nothing, or all of it"
                if found == {"INBOX": whole, "Old": whole}:
                    break
                process = subprocess.Popen(
                    [*server.command, *command], env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
                try:
                    process.communicate(timeout=pauses.pop() if pauses else 120)
                    ended = process.returncode == 0
                except subprocess.TimeoutExpired:
                    killed += 1
                server.kill()
                process.communicate()
            server.start()
            assert uids(server, account) == {"INBOX": whole, "Old": whole}
            server.kill()
            left = {path.name for path in (server.data / "mail" / "a.test" / account).iterdir()}
            assert not left & {"taking-over", "taken-over"}, left
    finally:
        server.kill()
    print(f"{len(users)} accounts, {killed} kills")
