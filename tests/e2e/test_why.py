"""`why` and `sent` on a running appliance: what the SMTP door, the queue and a mail program did is told."""

import contextlib
import json
import smtplib
import time

from tests.support.server import Server


def send(server: Server, to: str, subject: str, sender: str = "carol@far.test") -> None:
    with server.smtp() as client:
        client.ehlo("mx.far.test")
        client.sendmail(sender, [to], f"From: {sender}\r\nSubject: {subject}\r\n\r\nhello\r\n")


def test_a_message_that_came_in_is_told_up_to_its_first_fetch(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    send(server, address, "=?utf-8?q?=C3=9Cber_Rechnung_17?=")
    send(server, address, "another one")
    connection = server.imap(account)
    connection.xatom("ID", '("name" "Thunderbird" "version" "128")')
    connection.select("INBOX")
    connection.fetch("1", "(BODY[])")
    connection.logout()
    text = " ".join(server.run("why", address, "über RECHNUNG").stdout.split())
    assert f"“Über Rechnung 17” from carol@far.test to {address} came on " in text
    assert "from mx.far.test [127.0.0.1] without TLS" in text
    assert f"It was put into INBOX of {address} at" in text
    assert f"{address} fetched it first at" in text
    assert "with Thunderbird 128 (IMAP)." in text
    both = json.loads(server.run("why", address, "--json").stdout)["candidates"]
    assert [one["subject"] for one in both] == ["another one", "Über Rechnung 17"]
    listed = server.run("why", address).stdout
    assert both[0]["id"] in listed
    assert "fetched it first" in server.run("why", address, both[1]["id"]).stdout
    assert "another one" in server.run("why", both[0]["id"]).stdout
    assert "another one" in server.run("why", address, "--last").stdout
    none = server.run("why", address, "nothing like it", check=False)
    assert none.returncode == 1
    assert "nothing is known" in none.stderr


def test_what_was_refused_is_told_with_its_reply(server: Server) -> None:
    with server.smtp() as client:
        client.ehlo("mx.far.test")
        client.mail("dora@far.test")
        assert client.rcpt("nobody-of-that-name@a.test")[0] == 550
    text = " ".join(server.run("why", "nobody-of-that-name@a.test", "dora").stdout.split())
    assert "It was refused for nobody-of-that-name@a.test with the reply “550 5.1.1" in text


def test_sent_shows_what_became_of_it_by_receiver(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    client = server.submission(account)
    client.sendmail(address, [address, "away@nowhere.invalid"], f"From: {address}\r\nSubject: both ways\r\n\r\nhello\r\n")
    with contextlib.suppress(smtplib.SMTPRecipientsRefused):
        client.sendmail(address, ["no-such-one@a.test"], f"From: {address}\r\nSubject: no\r\n\r\nhello\r\n")
    client.quit()
    end = time.monotonic() + 20
    while True:
        rows = json.loads(server.run("sent", address, "--json").stdout)
        states = {row["to"]: row["state"] for row in rows}
        if states.get("away@nowhere.invalid") in ("deferred", "failed") or time.monotonic() > end:
            break
    assert states[address] == "delivered"
    assert states["away@nowhere.invalid"] in ("deferred", "failed")
    assert states["no-such-one@a.test"] == "refused"
    away = next(row for row in rows if row["to"] == "away@nowhere.invalid")
    assert "nowhere.invalid" in away["reply"]
    assert away["attempts"] >= 1
    assert away["subject"] == "both ways"
    assert "both ways" in server.run("sent", address, "--days", "1").stdout
    assert server.run("sent", "nobody@far.test", check=False).returncode == 1
