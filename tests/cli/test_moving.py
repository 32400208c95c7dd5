"""move, import: jobs that a running server does for the command line."""

import json
from pathlib import Path

from tests.conftest import unused
from tests.support.console import Console
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

FROM = b"From a@far.test Tue Jan  2 10:00:00 2024\n"


def test_import_and_takeout(server: Server, account: str, tmp_path: Path) -> None:
    console, file, address = Console(server), tmp_path / "Old.mbox", f"{account}@a.test"
    file.write_bytes(b"".join(FROM + b"Status: O\nSubject: %d\n\ntext\n\n" % number for number in range(50)))
    said = console.run("import", address, str(file)).stdout
    assert "Old      50" in said
    assert "50 messages came in; 0 were there already." in said
    assert "0 messages came in; 50 were there already." in console.run("import", address, str(file)).stdout
    with Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        one.ok("SELECT Old")
        found = one.fetch("1:* (FLAGS INTERNALDATE)")
        assert len(found) == 50
        assert str(found[1].items["INTERNALDATE"]).endswith(" 2-Jan-2024 10:00:00 +0000'")
        one.ok("STORE 3 +FLAGS (\\Flagged work)")

    # What is taken out comes in elsewhere.
    console.run("user", "takeout", address, str(tmp_path / "all.zip"))
    other = f"{unused(server)}@a.test"
    done = json.loads(console.run("import", other, str(tmp_path / "all.zip"), "--json").stdout)[0]
    assert (done["mailboxes"], done["skipped"]) == ({"Old": 50}, [])
    with Client(server.ports["imap"]) as one:
        one.login(other, PASSWORD)
        one.ok("SELECT Old")
        flags = str(one.fetch("3 (FLAGS INTERNALDATE)")[3].items)
        assert all(word in flags for word in ("Flagged", "work", "2-Jan-2024")), flags


def test_what_cant_be_done_is_said(server: Server, account: str, tmp_path: Path) -> None:
    console, address = Console(server), f"{account}@a.test"
    for arguments, reason in (
        (("import", "nobody@a.test", str(tmp_path)), "there is no account nobody@a.test"),
        (("import", address, str(tmp_path / "none")), "none: No such file"),
        (("import", address, str(tmp_path), "--mailbox", "a//b"), "can't be a mailbox"),
        (("move", "in", address, str(tmp_path)), "this is no Maildir"),
        (("move", "in", address, str(tmp_path / "none"), "--check"), "none: No such file"),
        (("move", "out", address, str(tmp_path)), "is there already"),
        (("move", "out", "nobody@a.test", str(tmp_path / "x")), "there is no account"),
    ):
        ended = console.run(*arguments, check=False)
        assert (ended.returncode, reason in ended.stderr) == (1, True), (arguments, ended)
