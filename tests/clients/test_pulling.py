"""Mail is pulled from a real Dovecot: everything once, also when it is killed, and what is new the next time."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.dovecot_account import FOLDERS, Facts, facts, fill, wire
from tests.support.dovecot_server import DovecotServer
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients
COUNT = 400
# What each of Dovecot's folders is called here.
HERE = {"Entw&APw-rfe": "Drafts", "Spam": "Junk"}


def without_uids(found: Facts) -> dict[str, list[tuple[frozenset[str], str, int]]]:
    return {
        HERE.get(name, name): sorted(rows.values(), key=lambda row: (row[1], row[2], sorted(row[0])))
        for name, (_, _, rows) in found.items()
    }


def here(server: Server, account: str) -> dict[str, list[tuple[frozenset[str], str, int]]]:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        return without_uids(facts(one, [HERE.get(name, name) for name in FOLDERS]))


@pytest.mark.timeout(600)
def test_everything_comes_once(server: Server, account: str, world_folder: Path) -> None:
    console, address = Console(server), f"{account}@a.test"
    (world_folder / "old" / "Maildir").mkdir(parents=True)
    fill(world_folder / "old", COUNT)
    with DovecotServer(world_folder) as dovecot:
        common = ("--from", "old@127.0.0.1", "--password-stdin")
        plain = ("--plain", "--port", str(dovecot.imap))
        with Client(dovecot.imap) as one:
            one.login("old", PASSWORD)
            there = without_uids(facts(one, list(FOLDERS)))
        total = sum(len(rows) for rows in there.values())
        said = console.run("import-imap", address, *common, *plain, "--check", stdin=PASSWORD).stdout
        assert f"{total} messages are there. Nothing was fetched." in said, said
        said = console.run("import-imap", address, *common, *plain, stdin=PASSWORD).stdout
        assert f"{total} messages came; 0 had come before." in said, said
        assert re.search(rf"Compared: counts and sizes of {total} messages, \d\d of them whole: equal", said), said
        assert here(server, account) == there
        said = console.run("import-imap", address, *common, *plain, stdin=PASSWORD).stdout
        assert f"0 messages came; {total} had come before." in said, said

        # What is new comes; what was removed here does not come again.
        with Client(dovecot.imap) as one:
            one.login("old", PASSWORD)
            one.append("INBOX", b"Subject: new\r\n\r\n")
            one.ok("SELECT Sent")
            one.ok("STORE 1,2,3 FLAGS (\\Answered done)")
        with Client(server.ports["imap"]) as one:
            one.login(address, PASSWORD)
            one.ok("SELECT INBOX")
            one.ok("STORE 1 +FLAGS (\\Deleted)")
            one.ok("EXPUNGE")
            one.ok("SELECT Sent")
            one.ok("STORE 2 FLAGS (mine)")
        said = console.run("import-imap", address, *common, *plain, stdin=PASSWORD).stdout
        assert "2 of those have other flags there now, and here too." in said, said
        with Client(server.ports["imap"]) as one:
            one.login(address, PASSWORD)
            one.ok("SELECT Sent")
            found = [str(row.items["FLAGS"]) for _, row in sorted(one.fetch("1:3 (FLAGS)").items())]
        assert ["done" in flags for flags in found] == [True, False, True], "what was changed here stays"
        assert f"1 messages came; {total} had come before." in said, said

        # TLS in both ways, with the certificate checked.
        refused = console.run("import-imap", address, *common, "--port", str(dovecot.imaps), stdin=PASSWORD, check=False)
        assert (refused.returncode, "its certificate is not valid" in refused.stderr) == (1, True), refused
        ca = ("--ca", str(world_folder / "cert.pem"))
        for security in (("--port", str(dovecot.imaps)), ("--starttls", "--port", str(dovecot.imap))):
            said = console.run("import-imap", address, *common, *security, *ca, stdin=PASSWORD).stdout
            assert f"0 messages came; {total + 1} had come before." in said, said
        wrong = console.run("import-imap", address, *common, *plain, stdin="wrong", check=False)
        assert (wrong.returncode, "login of old" in wrong.stderr) == (1, True), wrong


@pytest.mark.timeout(600)
def test_killed_in_the_middle(server: Server, account: str, world_folder: Path) -> None:
    (world_folder / "old" / "Maildir").mkdir(parents=True)
    fill(world_folder / "old", COUNT)
    console, address = Console(server), f"{account}@a.test"
    with DovecotServer(world_folder) as dovecot:
        arguments = (
            "import-imap",
            address,
            "--from",
            "old@127.0.0.1",
            "--password-stdin",
            "--plain",
            "--port",
            str(dovecot.imap),
        )
        with Client(server.ports["imap"]) as one:
            one.login(address, PASSWORD)
            for wanted in (1, COUNT // 3, COUNT // 2):
                process = subprocess.Popen([*server.command, *arguments], stdin=subprocess.PIPE, env=server.environment)
                assert process.stdin is not None
                process.stdin.write(PASSWORD.encode() + b"\n")
                process.stdin.close()
                while process.poll() is None and count(one) < wanted:
                    pass
                process.send_signal(signal.SIGKILL)
                process.wait()
        with Client(dovecot.imap) as one:
            one.login("old", PASSWORD)
            there = without_uids(facts(one, list(FOLDERS)))
        console.run(*arguments, stdin=PASSWORD)
    assert here(server, account) == there
    assert not [name for name in os.listdir(server.data / "spool") if name.startswith("pull-")], "what is left over goes"


def count(one: Client) -> int:
    total = 0
    for name in FOLDERS:
        if one.run(f'STATUS "{wire(name)}" (MESSAGES)').kind == "OK":
            total += sum(int(str(line.items["MESSAGES"])) for line in one.heard if line.kind == "STATUS")
    return total
