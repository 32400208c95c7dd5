"""go-public: a trial with users and mail becomes the real server."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dns.name
import pytest

from mailstack.net.dns_update import quoted
from tests.support.console import Console
from tests.support.dnsserver import DnsServer
from tests.support.server import PASSWORD, Server

SOA = ["ns.real.test. hostmaster.real.test. 1 3600 600 86400 60"]
PLACE = ("--from", "home.test", "--keep-listeners", "--address", "198.51.100.1")
COMMAND = ("go-public", "real.test", *PLACE, "--tls", "self-signed")


@pytest.fixture
def zone() -> Iterator[DnsServer]:
    names = {"real.test": {"SOA": SOA}, "100.51.198.in-addr.arpa": {"SOA": SOA}}
    with DnsServer({**names, "1.100.51.198.in-addr.arpa": {"PTR": ["mail.real.test."]}}) as one:
        yield one


@pytest.fixture
def trial(tmp_path: Path, zone: DnsServer) -> Iterator[Server]:
    """With a mail in Alice's mailbox."""
    one = Server(tmp_path, domain="home.test", settings=f'[dns]\nnameservers = ["127.0.0.1:{zone.port}"]\n# my word\n')
    one.environment["MAILSTACK_AUTHENTICATION__CHECK"] = "false"
    one.provision()
    one.start()
    with one.submission("bob") as client:
        client.sendmail("bob@home.test", ["alice@home.test"], b"From: bob@home.test\r\nSubject: of the trial\r\n\r\nhello\r\n")
    yield one
    one.stop()


def publish(console: Console, zone: DnsServer) -> None:
    """What the command printed, as an admin would."""
    for name, lines in json.loads(console.run("dns", "real.test", "--zone", "--json").stdout).items():
        assert name in ("real.test", "mail.home.test"), lines
    for row in json.loads(console.run("domain", "records", "real.test", "--json").stdout):
        value = quoted(row["value"]) if row["kind"] == "TXT" else row["value"].replace("mail.home.test", "mail.real.test")
        zone.records.setdefault(dns.name.from_text(row["name"]), {}).setdefault(row["kind"], []).append(value)
    zone.add("mail.real.test", A=["198.51.100.1"])


def subjects(trial: Server, address: str) -> int:
    import imaplib

    client = imaplib.IMAP4("127.0.0.1", trial.ports["imap"], timeout=20)
    client.login(address, PASSWORD)
    client.select("INBOX")
    found = client.search(None, "SUBJECT", "trial")[1][0].split()
    client.logout()
    return len(found)


def test_a_trial_becomes_the_real_server(trial: Server, zone: DnsServer) -> None:
    console = Console(trial)
    text = trial.configuration.read_text()
    for command, words in ((("nonsense",), "not a domain"), (("real.test", "--tls", "nonsense"), "tls.mode")):
        said = console.run("go-public", *command, "--keep-listeners", check=False)
        assert (said.returncode, words in said.stderr) == (2, True), said.stderr
    planned = console.run(*COMMAND, "--dry-run").stdout
    assert "alice@home.test is alice@real.test then" in planned
    assert '+hostname = "mail.real.test"' in planned
    at = ("--server", f"127.0.0.1:{zone.port}", "--every", "0.1")
    # Not waiting shows what is missing, and the command may come again.
    console.run("domain", "add", "real.test")
    publish(console, zone)
    done = console.run(*COMMAND, *at)
    assert "alice@home.test is alice@real.test now" in done.stdout
    assert "mail.real.test is public" in done.stdout
    settings = tomllib.loads(trial.configuration.read_text())
    assert (settings["hostname"], settings["postmaster"]) == ("mail.real.test", "alice@real.test")
    assert settings["listen"] == tomllib.loads(text)["listen"]
    assert "# my word" in trial.configuration.read_text()
    assert subjects(trial, "alice@real.test") == 1
    with trial.smtp() as client:
        assert b"mail.real.test" in client.ehlo("far.test")[1]
        assert client.sendmail("x@far.test", ["alice@home.test", "bob@real.test"], b"Subject: to both\r\n\r\nx\r\n") == {}
    # Once more: nothing is left to do.
    again = console.run(*COMMAND, *at).stdout
    assert "is public" in again
    assert sorted(row["address"] for row in json.loads(console.run("user", "list", "--json").stdout)) == [
        "alice@real.test",
        "bob@real.test",
    ]
