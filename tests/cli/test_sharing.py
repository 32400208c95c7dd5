"""acl: what an admin says is what an owner would say."""

import json
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Data that no server holds."""
    one = Server(tmp_path_factory.mktemp("offline"), users=("alice", "bob", "carol"))
    one.provision()
    return one


def listed(console: Console, *arguments: str) -> list[tuple[str, str, str]]:
    rows = json.loads(console.run("acl", "list", *arguments, "--json").stdout)
    return [(row["mailbox"], row["who"], row["rights"]) for row in rows]


def refused(console: Console, *arguments: str) -> str:
    ended = console.run(*arguments, check=False)
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    return ended.stderr


def give_and_take(console: Console, owner: str, other: str) -> None:
    console.run("acl", "set", owner, "INBOX", other, "lrd")
    console.run("acl", "set", owner, "Sent", other, "lr")
    console.run("acl", "set", owner, "Sent", "--", f"-{other}", "r")
    assert listed(console, owner) == [("INBOX", other, "lrted"), ("Sent", other, "lr"), ("Sent", f"-{other}", "r")]
    console.run("acl", "set", owner, "INBOX", other, "+s")
    assert listed(console, owner, "inbox") == [("INBOX", other, "lrsted")]
    assert other in console.run("acl", "list", owner).stdout
    console.run("acl", "remove", owner, "Sent", other)
    console.run("acl", "remove", owner, "Sent", "--", f"-{other}")
    assert listed(console, owner, "Sent") == []
    assert "no rights" in refused(console, "acl", "set", owner, "INBOX", other, "lq")
    assert "neither an account" in refused(console, "acl", "set", owner, "INBOX", "nobody@a.test", "l")
    assert "sharing.anyone is off" in refused(console, "acl", "set", owner, "INBOX", "anyone", "l")
    assert "the owner has all rights" in refused(console, "acl", "set", owner, "INBOX", owner, "l")
    assert "no mailbox Nothing" in refused(console, "acl", "set", owner, "Nothing", other, "l")
    assert "no account nobody@a.test" in refused(console, "acl", "list", "nobody@a.test")


def test_without_a_server(offline: Server) -> None:
    give_and_take(Console(offline), "alice@a.test", "bob@a.test")


def test_with_a_server(server: Server, account: str) -> None:
    console, owner = Console(server), f"{account}@a.test"
    give_and_take(console, owner, "bob@a.test")
    with Client(server.ports["imap"]) as one:
        one.login("bob@a.test", PASSWORD)
        one.ok(f"SELECT Shared/{owner}/INBOX")
        one.send(b"i IDLE\r\n")
        console.run("acl", "remove", owner, "INBOX", "bob@a.test")
        with pytest.raises(EOFError):
            while True:
                heard = one.next()
        assert heard.kind == "BYE"


def test_the_file_says_who(offline: Server) -> None:
    console = Console(offline)
    console.run("acl", "set", "carol@a.test", "Drafts", "bob@a.test", "lr")
    path = Path(offline.data) / "mail" / "a.test" / "carol" / "Maildir" / ".Drafts" / ".mailstack-acl"
    assert json.loads(path.read_bytes())["grants"] == [
        {"account": "a.test/bob", "address": "bob@a.test", "rights": "lr", "negative": False}
    ]
    # A folder that was copied by hand is open to nobody, and so is one whose file is no such file.
    copy = path.parents[1] / ".Copy"
    copy.mkdir()
    for part in ("cur", "new", "tmp"):
        (copy / part).mkdir()
    (copy / path.name).write_bytes(path.read_bytes())
    assert listed(console, "carol@a.test") == [("Drafts", "bob@a.test", "lr")]
    path.write_bytes(b"{")
    assert listed(console, "carol@a.test") == []
