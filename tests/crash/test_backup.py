"""Backups of a running server: whole, incremental, proven, and brought back."""

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.load import USERS, Ledger, Load, verify
from tests.support.server import Server, free_ports

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
ROUNDS = max(2, int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6")) // 3)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose smarthost does not answer, with mail in mailboxes and in the queue."""
    (port,) = free_ports(1)
    one = Server(tmp_path_factory.mktemp("busy"), smarthost=port)
    one.configuration.write_text(one.configuration.read_text().replace('retry = ["1s"]', 'retry = ["1h"]'))
    one.provision()
    one.start()
    with one.submission("alice") as client:
        client.sendmail("alice@a.test", ["bob@a.test", "x@far.test"], "From: alice@a.test\r\nSubject: both\r\n\r\nboth\r\n")
    with one.imap("alice") as alice:
        alice.create("Work/&AOk-t&AOk-")
        for number in range(30):
            alice.append("INBOX", "(\\Seen $Later)" if number % 2 else None, None, message(number))
        alice.select("INBOX")
        alice.copy("1:7", "Work/&AOk-t&AOk-")
        alice.store("3", "+FLAGS", "(\\Deleted)")
        alice.expunge()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def made(busy: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of backups, and what was told of the first one."""
    folder = tmp_path_factory.mktemp("backups")
    return folder, back_up(busy, folder)


def message(number: int) -> bytes:
    return f"Subject: {number}\r\n\r\n{'x' * number}\r\n".encode()


def back_up(server: Server, folder: Path, *options: str, check: bool = True) -> dict[str, Any]:
    done = server.run("backup", str(folder), "--json", *options, check=check)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def seen(server: Server, user: str, name: str = "INBOX") -> list[Any]:
    """What a client sees of a mailbox: UIDs, flags, texts."""
    with server.imap(user) as client:
        client.select(f'"{name}"', readonly=True)
        rows = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        plain = [(re.sub(rb" ?\\Recent", b"", row[0]), row[1]) for row in rows if isinstance(row, tuple)]
        return [client.response("UIDVALIDITY")[1], plain]


def test_a_backup_is_whole_shares_nothing_with_live_mail_and_is_restored_as_it_was(
    busy: Server, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, first = made
    assert first["problems"] == []
    assert first["messages"] == 37
    assert first["accounts"] == 2
    assert first["compared"] == 37
    assert first["proven"] > 0
    live = {path.stat().st_ino for path in busy.data.rglob("*") if path.is_file()}
    files = [path for path in (folder / first["name"]).rglob("*") if path.is_file()]
    assert not live & {path.stat().st_ino for path in files}

    with busy.imap("alice") as alice:
        alice.append("INBOX", None, None, message(100))  # type: ignore[arg-type]
    second = back_up(busy, folder)
    assert second["messages"] == 38
    shared = {path.stat().st_ino for path in files if path.suffix != ".sqlite3"}
    mails = list((folder / second["name"]).rglob("cur/*"))
    assert sum(path.stat().st_ino in shared for path in mails) == 36

    expected = {
        (user, name): seen(busy, user, name)
        for user, name in (("alice", "INBOX"), ("alice", "Work/&AOk-t&AOk-"), ("bob", "INBOX"))
    }
    (tmp_path / "again").mkdir()
    again = Server(tmp_path / "again", smarthost=busy.ports["pop3"])
    again.run("restore", str(folder))
    again.start()
    try:
        for key, wanted in expected.items():
            assert seen(again, *key) == wanted
        rows = json.loads(again.run("queue", "list", "--json").stdout)
        assert [row["recipients"][0]["address"] for row in rows] == ["x@far.test"]
        with again.imap("alice") as client:
            client.select("INBOX")
            answer = client.append("INBOX", None, None, message(5))  # type: ignore[arg-type]
            assert int(answer[1][0].split()[2].rstrip(b"]")) > 1_000_000, "a UID that others may have seen is not given again"
    finally:
        again.stop()
    refused = again.run("restore", str(folder), check=False)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    again.run("restore", str(folder), "--backup", first["name"], "--force")
    assert len(list(again.data.glob("replaced-*/mailstack.sqlite3"))) == 1


def test_one_flipped_octet_is_found_and_told(busy: Server, made: tuple[Path, dict[str, Any]]) -> None:
    folder = made[0]
    newest = max(path for path in folder.iterdir() if path.is_dir())
    victim = next(newest.rglob("Maildir/cur/*"))
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    times = victim.stat()
    victim.write_bytes(data)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    told = len(busy.events("postmaster.told"))
    done = busy.run("backup", str(folder), check=False)
    assert done.returncode == 1
    assert victim.name.partition(":")[0] in done.stdout
    busy.wait_for_event("postmaster.told", told)
    assert busy.events("backup.failed")
    status = json.loads(busy.run("backup", "--status", "--json").stdout)
    assert status["last"]["problems"]
    assert status["proven"]["name"] == newest.name
    whole = back_up(busy, folder)
    assert whole["problems"] == [], "a new one takes nothing over from what is damaged"


def test_one_account_comes_back_beside_what_it_has(busy: Server, made: tuple[Path, dict[str, Any]]) -> None:
    folder, name = made[0], made[1]["name"]
    before = seen(busy, "bob")
    busy.run("restore", str(folder), "--backup", name, "--account", "bob@a.test")
    again = busy.run("restore", str(folder), "--backup", name, "--account", "bob@a.test")
    assert "0 messages" in again.stdout, "what is back already is not brought once more"
    beside = seen(busy, "bob", f"Restored/{name}/INBOX")
    assert seen(busy, "bob") == before
    assert [text for _, text in beside[1]] == [text for _, text in before[1]]


def test_a_backup_has_no_place_in_the_data(busy: Server) -> None:
    done = busy.run("backup", str(busy.data / "b"), check=False)
    assert done.returncode == 1
    assert "outside" in done.stderr


@pytest.mark.timeout(3600)
def test_backups_under_load_and_kills_hold_what_was_acknowledged(tmp_path: Path) -> None:
    """Each one that ends is proven, whatever clients do; one that a kill cuts short leaves nothing; the last holds it all."""
    pause = random.Random(31)
    server = Server(tmp_path, users=USERS, forked=False)
    server.provision()
    ledger = Ledger()
    whole = 0
    try:
        for number in range(ROUNDS):
            server.start()
            with Load(server, ledger, number) as load:
                load.stop.wait(pause.uniform(0.2, 1.0))
                if number % 2:
                    cut = subprocess.Popen(
                        [*server.command, "backup", str(tmp_path / "b")], env=server.environment, stdout=subprocess.DEVNULL
                    )
                    while not (tmp_path / "b" / ".partial").exists() and cut.poll() is None:
                        load.stop.wait(0.01)
                    load.stop.wait(pause.uniform(0.0, 3.0))
                    server.kill()
                    cut.wait(60)
                else:
                    done = back_up(server, tmp_path / "b", check=False)
                    assert done["problems"] == []
                    whole += 1
                    server.kill()
            names = [path for path in (tmp_path / "b").iterdir() if not path.name.startswith(".")]
            assert all((path / "manifest.json").is_file() for path in names)
        server.start()
        last = back_up(server, tmp_path / "b")
        assert last["problems"] == []
    finally:
        server.kill()
    (tmp_path / "again").mkdir()
    again = Server(tmp_path / "again", users=USERS, forked=False)
    again.run("restore", str(tmp_path / "b"))
    again.start()
    try:
        verify(again, ledger)
    finally:
        again.kill()
    assert ledger.acknowledged > ROUNDS
    print(f"{ROUNDS} rounds, {whole + 1} backups, {last['messages']} messages in the last, {ledger.acknowledged} acknowledged")
