"""a.test and b.test carry mail both ways: send, relay by MX, 250 OK, told in IDLE, fetched."""

import email
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from mailstack.control.client import ask
from mailstack.net.dns_update import quoted
from tests.support.dnsserver import DnsServer
from tests.support.server import PASSWORD, Server, free_ports


class Pair:
    def __init__(self, folder: Path) -> None:
        records = {
            "a.test": {"MX": ["10 mail.a.test."]},
            "b.test": {"MX": ["10 dead.b.test.", "20 mail.b.test."]},
            "mail.a.test": {"A": ["127.0.0.1"]},
            "mail.b.test": {"A": ["127.0.0.1"]},
            "dead.b.test": {"A": ["127.0.0.9"]},
            "null.test": {"MX": ["0 ."]},
        }
        self.dns = DnsServer(records).__enter__()
        settings = f'[dns]\nnameservers = ["127.0.0.1:{self.dns.port}"]\n'
        self.servers: dict[str, Server] = {}
        ports = dict(zip(("a.test", "b.test"), free_ports(2), strict=True))
        for domain, other, user in (("a.test", "b.test", "alice"), ("b.test", "a.test", "bob")):
            place = folder / domain
            place.mkdir()
            relay = f"mx_port = {ports[other]}"
            one = Server(place, users=(user,), domain=domain, settings=settings, relay=relay, ports={"smtp": ports[domain]})
            one.provision()
            one.start()
            self.servers[domain] = one
            # Before anybody asks: that there is none would be remembered.
            answer = ask(one.data / "control.sock", "domain.records", {"domain": domain})
            assert answer is not None
            for record in answer["ok"]["dkim"]:
                self.dns.add(record["name"], TXT=[quoted(record["value"])])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    one = Pair(tmp_path_factory.mktemp("pair"))
    yield one
    for server in one.servers.values():
        server.stop()
    one.dns.__exit__()


def client(server: Server, user: str) -> IMAPClient:
    one = IMAPClient("127.0.0.1", server.ports["imap"], ssl=False, timeout=30)
    one.login(f"{user}@{server.domain}", PASSWORD)
    one.select_folder("INBOX")
    return one


@pytest.mark.parametrize(
    ("source", "sender", "target", "receiver"), [("a.test", "alice", "b.test", "bob"), ("b.test", "bob", "a.test", "alice")]
)
def test_mail_is_relayed_and_told_at_once(pair: Pair, source: str, sender: str, target: str, receiver: str) -> None:
    reader = client(pair.servers[target], receiver)
    before = reader.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"]
    reader.idle()
    text = (
        f"From: <{sender}@{source}>\r\nTo: <{receiver}@{target}>\r\nBcc: hidden@far.test\r\nSubject: hello across\r\n\r\n"
        "caf\u00e9\r\n.dot\r\n"
    )
    with pair.servers[source].submission(sender) as submission:
        submission.sendmail(f"{sender}@{source}", [f"{receiver}@{target}"], text.encode())
    told = reader.idle_check(timeout=30)
    assert (before + 1, b"EXISTS") in told
    reader.idle_done()
    uid = reader.search(["SUBJECT", "hello across"])[-1]
    body = reader.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
    assert body.endswith("\r\n\r\ncaf\u00e9\r\n.dot\r\n".encode())
    header = body.partition(b"\r\n\r\n")[0]
    assert header.startswith(f"Return-Path: <{sender}@{source}>\r\n".encode())
    assert header.count(b"Received: ") == 2
    assert header.count(b"DKIM-Signature: ") == 2
    assert b"Bcc" not in header
    assert b"Message-ID: " in header
    assert b"Date: " in header
    reader.logout()
    shown = pair.servers[source].run("trace", f"{receiver}@{target}").stdout
    assert "accepted" in shown
    assert "delivered" in shown


def test_a_refused_recipient_comes_back_as_a_notice(pair: Pair) -> None:
    reader = client(pair.servers["a.test"], "alice")
    reader.idle()
    with pair.servers["a.test"].submission("alice") as submission:
        submission.sendmail(
            "alice@a.test",
            ["nobody@b.test", "someone@null.test"],
            b"From: alice@a.test\r\nSubject: lost\r\n\r\nx\r\n",
            mail_options=["RET=HDRS", "ENVID=envelope7"],
        )
    seen: list[bytes] = []
    while len(seen) < 1:
        seen += [one for one in reader.idle_check(timeout=30) if one[1] == b"EXISTS"]
    reader.idle_done()
    uid = reader.search(["FROM", "MAILER-DAEMON"])[-1]
    body = reader.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
    assert body.startswith(b"Return-Path: <>\r\n")
    assert b"report-type=delivery-status" in body
    assert b"Final-Recipient: rfc822; nobody@b.test" in body
    assert b"Status: 5.1.1" in body
    assert b"Final-Recipient: rfc822; someone@null.test" in body
    assert b"Original-Envelope-Id: envelope7" in body
    assert b"Subject: lost" in body
    reader.logout()


def test_what_is_forwarded_is_sealed_and_the_seal_holds(pair: Pair) -> None:
    arguments = {"address": "out@a.test", "targets": ["bob@b.test"]}
    assert ask(pair.servers["a.test"].data / "control.sock", "alias.add", arguments) == {"ok": None}
    reader = client(pair.servers["b.test"], "bob")
    before = reader.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"]
    reader.idle()
    text = "From: carol@far.test\r\nTo: out@a.test\r\nSubject: passed on\r\n\r\nwords\r\n"
    with smtplib.SMTP("127.0.0.1", pair.servers["a.test"].ports["smtp"], timeout=30) as one:
        one.sendmail("carol@far.test", ["out@a.test"], text)
    while not any(line == (before + 1, b"EXISTS") for line in reader.idle_check(timeout=30)):
        continue
    reader.idle_done()
    (uid,) = reader.search(["SUBJECT", "passed on"])
    message = email.message_from_bytes(reader.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])
    assert "i=1" in message["ARC-Seal"]
    assert "d=a.test" in message["ARC-Seal"]
    assert "arc=pass" in message["Authentication-Results"], message["Authentication-Results"]
    assert message["Return-Path"].startswith("<SRS0=")
    reader.logout()
