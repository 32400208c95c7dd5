"""user vacation, forward and takeout, sieve rules, rejects: what people do for themselves, from the command line."""

import hashlib
import imaplib
import json
import zipfile
from pathlib import Path

import pytest

from mailstack.control.client import ask
from tests.support.console import Console
from tests.support.server import Server

RULE = {
    "name": "team",
    "conditions": [{"what": "subject", "how": "contains", "value": "team"}],
    "actions": [{"does": "move", "target": "Team"}],
}


@pytest.fixture
def console(server: Server) -> Console:
    return Console(server)


def deliver(server: Server, address: str, subject: str) -> None:
    with server.smtp() as client:
        text = f"From: X <x@far.test>\r\nTo: {address}\r\nSubject: {subject}\r\n\r\nx\r\n"
        client.sendmail("x@far.test", [address], text.encode())


def subjects(connection: imaplib.IMAP4, mailbox: str) -> list[str]:
    assert connection.select(mailbox, readonly=True)[0] == "OK"
    _, found = connection.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return [one[1].decode().strip() for one in found if isinstance(one, tuple)]


def test_rules_by_forms_sort_mail_and_leave_scripts_by_hand_alone(
    server: Server, console: Console, account: str, tmp_path: Path
) -> None:
    address, file = f"{account}@a.test", tmp_path / "file"
    file.write_text('require ["copy", "fileinto"];\nfileinto :copy "Sent";\n')
    console.run("sieve", "put", address, str(file), "--name", "mine")
    refused = console.run("user", "vacation", address, "--text", "away", check=False)
    assert (refused.returncode, "'mine' was written by hand" in refused.stderr) == (1, True), refused
    console.run("user", "vacation", address, "--text", "away", "--last", "2020-01-01", "--hand", "after")
    file.write_text(json.dumps([RULE]))
    console.run("sieve", "rules", address, str(file))
    (shown,) = json.loads(console.run("user", "vacation", address, "--json").stdout)
    assert (shown["on"], shown["text"], shown["last"]) == (True, "away", "2020-01-01")
    assert "subject contains team" in console.run("sieve", "rules", address).stdout
    deliver(server, address, "our team")
    with server.imap(account) as connection:
        assert subjects(connection, "Team") == ["Subject: our team"]
        assert subjects(connection, "Sent") == ["Subject: our team"]  # by the script that a hand wrote
    file.write_text(json.dumps([{**RULE, "name": ""}]))
    ended = console.run("sieve", "rules", address, str(file), check=False)
    assert (ended.returncode, "rules.1.name" in ended.stderr) == (1, True), ended
    for wrong, reason in (([{"name": 5}], "rules"), ({}, "array")):
        answer = ask(server.data / "control.sock", "rules.save", {"address": address, "rules": wrong})
        assert answer is not None
        assert reason in answer["error"]


def test_forwarding_is_set_shown_and_ended(console: Console, account: str) -> None:
    address = f"{account}@a.test"
    console.run("user", "forward", address, "bob@a.test", "--no-keep")
    assert json.loads(console.run("user", "forward", address, "--json").stdout) == [
        {"addresses": ["bob@a.test"], "keep": False}
    ]
    console.run("user", "forward", address, "--off")
    assert "5 is no mail address" in console.run("user", "forward", address, "5", check=False).stderr.replace("'", "")


def test_a_takeout_holds_all_and_says_what_it_is(server: Server, console: Console, account: str, tmp_path: Path) -> None:
    address, file, script = f"{account}@a.test", tmp_path / "all.zip", tmp_path / "x.sieve"
    script.write_text("keep;\n")
    console.run("sieve", "put", address, str(script))
    large = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 100_000
    with server.imap(account) as connection:
        connection.create('"Odd: name/1.eml"')
        connection.append("INBOX", r"(\Seen $Work)", '"02-Jan-2020 03:04:05 +0000"', large)  # type: ignore[arg-type]
        connection.append('"Odd: name/1.eml"', None, None, b"Subject: two\r\n\r\n")  # type: ignore[arg-type]
    done = console.run("user", "takeout", address, str(file))
    assert "2 messages" in done.stdout
    with zipfile.ZipFile(file) as found:
        assert found.testzip() is None
        manifest = json.loads(found.read("manifest.json"))
        assert (manifest["format"], manifest["account"], manifest["count"]) == ("mailstack-takeout", address, 2)
        first, second = sorted(manifest["messages"], key=lambda one: -one["size"])
        assert (first["flags"], first["date"], first["size"]) == (["\\Seen", "$Work"], "2020-01-02T03:04:05Z", len(large))
        assert found.read(first["file"]) == large
        assert hashlib.sha256(large).hexdigest() == first["sha256"]
        assert second["file"] == "mail/Odd%3A name/1%2Eeml/1.eml"
        assert {"INBOX", "Sent", "Odd: name/1.eml"} <= {one["name"] for one in manifest["mailboxes"]}
        (kept,) = manifest["scripts"]
        assert (kept["name"], kept["active"], found.read(kept["file"])) == ("main", True, b"keep;\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "exists" in console.run("user", "takeout", address, str(file), check=False).stderr
    assert console.run("user", "takeout", "nobody@a.test", str(tmp_path / "none.zip"), check=False).returncode == 1
    assert not (tmp_path / "none.zip").exists()


def test_usage_and_logins(server: Server, console: Console, account: str) -> None:
    address = f"{account}@a.test"
    with server.imap(account) as connection:
        connection.append("Sent", None, None, b"Subject: x\r\n\r\n")
        connection.xatom("ID", '("name" "tester" "version" "1.0")')
    with server.submission(account):
        pass
    (found,) = json.loads(console.run("user", "usage", address, "--json").stdout)
    assert (found["messages"], found["octets"], found["quota"]) == (1, 14, None)
    assert [row["octets"] for row in found["mailboxes"] if row["mailbox"] == "Sent"] == [14]
    rows = json.loads(console.run("user", "logins", address, "--json").stdout)
    shown = {row["protocol"]: (row["peer"], row["device"], row["client"]) for row in rows}
    assert shown == {"imap": ("127.0.0.1", "", "tester 1.0"), "smtp": ("127.0.0.1", "", "[127.0.0.1]")}


def test_what_was_refused_is_listed_and_rescued(server: Server, console: Console, account: str) -> None:
    address = f"{account}@a.test"
    assert json.loads(console.run("rejects", "list", address, "--json").stdout) == []
    told = b"X-Refused: yes, the sender was told: 550 5.7.1 No\r\n"
    told += b"X-Spam-Status: Yes, score=13.0 required=5.0 tests=[bayes=3.5]\r\n"
    with server.imap(account) as connection:
        connection.create("Rejects")
        connection.append("Rejects", None, None, told + b"From: x@far.test\r\nSubject: =?utf-8?q?M=C3=BCll?=\r\n\r\n")
        (row,) = json.loads(console.run("rejects", "list", address, "--json").stdout)
        shown = (row["from"], row["subject"], row["told"], row["why"])
        assert shown == ("x@far.test", "Müll", "550 5.7.1 No", "bayes +3.5")
        assert "1 moved" in console.run("rejects", "rescue", address, str(row["uid"]), "999").stdout
        assert len(subjects(connection, "INBOX")) == 1
