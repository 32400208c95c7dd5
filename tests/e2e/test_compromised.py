"""Somebody else has an account's password and sends with it: it is stopped, its owner told, and what waits is kept back."""

import imaplib
import json
import re
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.server import Server
from tests.support.sink import CountingSink

LATER = b"451 4.7.1 not now\r\n"
SETTINGS = "[sending]\nstop_at_new_recipients = 8\nstop_at_refusals = 3\nmessages_per_hour = 50\n"


@pytest.fixture
def sink() -> Iterator[CountingSink]:
    with CountingSink() as one:
        one.reply = LATER
        yield one


@pytest.fixture
def server(tmp_path: Path, sink: CountingSink) -> Iterator[Server]:
    one = Server(tmp_path, smarthost=sink.port, settings=SETTINGS)
    one.provision()
    one.start()
    yield one
    one.stop()


def subjects(server: Server, user: str) -> list[str]:
    connection = server.imap(user)
    try:
        connection.select("INBOX", readonly=True)
        count = int(connection.status("INBOX", "(MESSAGES)")[1][0].split()[-1].rstrip(b")"))  # type: ignore[union-attr]
        found = []
        for number in range(1, count + 1):
            data = connection.fetch(str(number), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
            found.append(data[1].decode().strip().removeprefix("Subject: "))  # type: ignore[index,union-attr]
        return found
    finally:
        connection.logout()


def text_of(server: Server, user: str, number: int) -> str:
    connection: imaplib.IMAP4 = server.imap(user)
    try:
        connection.select("INBOX", readonly=True)
        return connection.fetch(str(number), "(BODY.PEEK[])")[1][0][1].decode()  # type: ignore[index,union-attr,return-value]
    finally:
        connection.logout()


def send(client: smtplib.SMTP, number: int) -> tuple[int, bytes]:
    """Two strangers a message."""
    to = [f"victim{number}{letter}@far.test" for letter in "ab"]
    message = f"From: bob@a.test\r\nTo: {to[0]}\r\nSubject: spam{number}\r\nMessage-ID: <{number}@a.test>\r\n\r\nbuy\r\n"
    try:
        client.sendmail("bob@a.test", to, message)
    except smtplib.SMTPResponseException as problem:
        return problem.smtp_code, problem.smtp_error if isinstance(problem.smtp_error, bytes) else b""
    except smtplib.SMTPRecipientsRefused as problem:
        return next(iter(problem.recipients.values()))
    return 250, b""


def until(condition: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_compromised_account(server: Server, sink: CountingSink) -> None:
    with server.submission("bob") as thief:
        answers = [send(thief, number) for number in range(6)]
    assert [code for code, _ in answers] == [250] * 4 + [550] * 2
    assert b"5.7.1 Sending is stopped for bob@a.test: it wrote to 10 addresses" in answers[4][1]
    stopped = server.wait_for_event("account.stopped")
    assert (stopped["account"], stopped["sign"]) == ("bob@a.test", "burst")
    server.wait_for_event("account.postmaster_told")

    # What waits is kept back, and said to be.
    until(lambda: all(row["held"] for row in json.loads(Console(server).run("queue", "list", "--json").stdout)))
    rows = json.loads(Console(server).run("queue", "list", "--json").stdout)
    assert len(rows) == 4
    until(lambda: "held" in Console(server).run("trace", rows[0]["id"]).stdout)

    # Its owner reads as before, and is told; so is the postmaster.
    assert subjects(server, "bob") == ["Sending from your account is stopped"]
    notice = text_of(server, "bob", 1)
    assert "Auto-Submitted: auto-generated" in notice
    assert "it wrote to 10 addresses" in " ".join(notice.split())
    assert "4 messages of" in " ".join(notice.split())
    until(lambda: subjects(server, "alice") == ["The account bob@a.test is stopped"])
    assert "mailstack user release bob@a.test" in text_of(server, "alice", 1)
    shown = json.loads(Console(server).run("user", "show", "bob@a.test", "--json").stdout)
    assert shown["stopped"]["sign"] == "burst"
    assert {row["what"]: row["sent"] for row in shown["sending"]} == {
        "messages_per_hour": 4, "messages_per_day": 4, "new_recipients_per_day": 8, "recipients": None,
    }  # fmt: skip
    assert "Sending is stopped since" in Console(server).run("user", "show", "bob@a.test").stdout
    # Others send.
    with server.submission("alice") as other:
        other.sendmail("alice@a.test", ["friend@far.test"], "From: alice@a.test\r\nSubject: hello\r\n\r\nx\r\n")

    # A restart, even by a power cut, lets nothing go.
    server.kill()
    sink.tokens.clear()
    sink.reply = b"250 2.0.0 Ok\r\n"
    server.start()
    assert "hello" in sink.wait_for({"hello"}, 30)
    with server.submission("bob") as thief:
        assert send(thief, 7)[0] == 550
    assert not any(token.startswith("spam") for token in sink.tokens)

    # One of them is looked at, and thrown away with the rest; or sent, when all was a mistake.
    Console(server).run("queue", "drop", rows[0]["id"])
    assert "3 messages are sent now" in Console(server).run("user", "release", "bob@a.test").stdout
    assert {"spam1", "spam2", "spam3"} <= sink.wait_for({"spam1", "spam2", "spam3"}, 30)
    with server.submission("bob") as owner:
        assert send(owner, 8)[0] == 250
    ended = Console(server).run("user", "release", "bob@a.test", check=False)
    assert (ended.returncode, ended.stderr) == (1, "mailstack: bob@a.test is not stopped\n")

    # By hand, and without a server.
    sink.reply = LATER
    with server.submission("bob") as client:
        assert send(client, 11)[0] == 250
        assert send(client, 12)[0] == 250
    assert "2 messages wait" in Console(server).run("user", "stop", "bob@a.test", "--reason", "your laptop was stolen").stdout
    with server.submission("bob") as client:
        assert b"your laptop was stolen" in send(client, 13)[1]
    assert "is stopped already" in Console(server).run("user", "stop", "bob@a.test", check=False).stderr
    server.wait_for_event("account.owner_told", 1)
    assert subjects(server, "bob") == ["Sending from your account is stopped"] * 2
    assert subjects(server, "alice") == ["The account bob@a.test is stopped"]

    # Other hosts say no to most of what alice sends.
    sink.reply = b"550 5.1.1 no such user\r\n"
    with server.submission("alice") as client:
        for number in range(3):
            client.sendmail("alice@a.test", [f"gone{number}@far.test"], "From: alice@a.test\r\nSubject: old\r\n\r\nx\r\n")
    assert server.wait_for_event("account.stopped", 2)["sign"] == "refusals"
    server.stop()
    shown = Console(server).run("user", "show", "bob@a.test").stdout
    assert "your laptop was stolen" in shown
    assert re.search(r"messages per hour +\d+ +50 +no", shown), "as the settings say"
    assert "what waited was thrown away" in Console(server).run("user", "release", "bob@a.test", "--drop").stdout
    assert json.loads(Console(server).run("queue", "list", "--json").stdout) == []
