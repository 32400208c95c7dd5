"""sieve: scripts from the command line, and what one would have done."""

import json
import smtplib
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.server import Server

GOOD = 'require ["fileinto"];\nif header :contains "subject" "list" { fileinto "Lists"; }\n'


def test_check_needs_no_server(server: Server, tmp_path: Path) -> None:
    console = Console(server)
    file = tmp_path / "x.sieve"
    file.write_text(GOOD)
    assert console.run("sieve", "check", str(file)).stdout == f"{file}: a script\n"
    file.write_text("keep;\nkeep")
    ended = console.run("sieve", "check", str(file), check=False)
    assert (ended.returncode, ended.stderr.startswith(f"mailstack: {file}:2: ")) == (1, True)
    file.write_bytes(b"\xff")
    assert console.run("sieve", "check", str(file), check=False).returncode == 2
    assert console.run("sieve", "check", str(tmp_path / "none"), check=False).returncode == 2


def test_put_list_show_activate_remove(server: Server, account: str, tmp_path: Path) -> None:
    console, address, file = Console(server), f"{account}@a.test", tmp_path / "x.sieve"
    file.write_text(GOOD)
    console.run("sieve", "put", address, str(file))
    console.run("sieve", "put", address, str(file), "--name", "other", "--keep")
    rows = json.loads(console.run("sieve", "list", address, "--json").stdout)
    assert rows == [{"name": "main", "active": True}, {"name": "other", "active": False}]
    assert console.run("sieve", "show", address).stdout == GOOD
    for arguments, reason in (
        (("remove", address, "main"), "it is the active script"),
        (("activate", address, "none"), "there is no script of that name"),
        (("show", address, "--name", "a\nb"), "1 to 128 characters"),
        (("list", "nobody@a.test"), "there is no account"),
    ):
        ended = console.run("sieve", *arguments, check=False)
        assert (ended.returncode, reason in ended.stderr) == (1, True), ended
    file.write_text("nonsense")
    assert "main: line 1" in console.run("sieve", "put", address, str(file), check=False).stderr
    console.run("sieve", "activate", address)
    console.run("sieve", "remove", address, "main")
    assert "main" not in console.run("sieve", "list", address).stdout


def test_what_a_script_would_have_done(server: Server, account: str, tmp_path: Path) -> None:
    console, address, file = Console(server), f"{account}@a.test", tmp_path / "x.sieve"
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as client:
        for subject in ("a list", "a letter"):
            text = f"From: X <x@far.test>\r\nTo: {address}\r\nSubject: {subject}\r\n\r\nx\r\n"
            client.sendmail("x@far.test", [address], text.encode())
    connection = server.imap(account)
    connection.append("INBOX", None, None, b"Subject: bomb\r\n\r\n")
    connection.append("INBOX", "", '"01-Jan-2020 00:00:00 +0000"', b"Subject: old list\r\n\r\n")  # type: ignore[arg-type]
    connection.append("Sent", None, None, b"Subject: own list\r\n\r\n")
    file.write_text(GOOD.replace("}", '} elsif header :contains "subject" "bomb" { redirect "${"; }'))
    ended = console.run("sieve", "test", address, str(file), check=False)
    assert ended.returncode == 1
    file.write_text(GOOD + 'if header :is "subject" "bomb" { discard; }')
    rows = json.loads(console.run("sieve", "test", address, str(file), "--days", "30", "--json").stdout)
    assert [(row["subject"], row["actions"]) for row in rows] == [
        ("a list", ["fileinto Lists"]),
        ("a letter", ["keep"]),
        ("bomb", ["discard"]),
    ]
    assert "fileinto Lists" in console.run("sieve", "test", address, str(file)).stdout
    file.write_text('require "vacation"; vacation :addresses "x@a.test" "away";')
    rows = json.loads(console.run("sieve", "test", address, str(file), "--json").stdout)
    # As it would have been: one sender is answered once, whatever the server answered in earnest.
    assert [row["actions"] for row in rows] == [["vacation to x@far.test", "keep"], ["keep"], ["keep"]]
    assert "no active script" in console.run("sieve", "test", address, check=False).stderr
    assert connection.select("INBOX")[1] == [b"4"]
    assert connection.select("Lists")[0] == "NO"
    connection.logout()


def test_aliases_as_mailing_lists(server: Server, account: str) -> None:
    console, address = Console(server), f"list-{account}@a.test"
    ended = console.run("alias", "set", address, check=False)
    assert (ended.returncode, "there is no alias" in ended.stderr) == (1, True)
    console.run("alias", "add", address, f"{account}@a.test")
    console.run("alias", "set", address, "--post", "named", "--poster", "Chief@b.test", "--name", "News")
    console.run("alias", "set", address, "--unsubscribe", "mailto:leave@a.test")
    (row,) = [row for row in json.loads(console.run("alias", "lists", "--json").stdout) if row["address"] == address]
    assert row == {
        "address": address, "post": "named", "posters": ["chief@b.test"], "name": "News", "owner": None,
        "unsubscribe": "mailto:leave@a.test",
    }  # fmt: skip
    assert address in console.run("alias", "lists").stdout
    for wrong in (("--post", "all"), ("--poster", "x"), ("--unsubscribe", "ftp://x"), ("--owner", "x"), ("--name", "a\nb")):
        assert console.run("alias", "set", address, *wrong, check=False).returncode == 1
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("x@far.test", [address], b"Subject: x\r\n\r\nx\r\n")
        assert refused.value.recipients[address][0] == 550
        client.sendmail("chief@b.test", [address], b"Subject: x\r\n\r\nx\r\n")
    console.run("alias", "unset", address)
    assert address not in console.run("alias", "lists").stdout
    assert console.run("alias", "unset", address, check=False).returncode == 1
