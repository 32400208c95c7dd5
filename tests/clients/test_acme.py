"""Certificates by themselves: a running appliance, and Debian's pebble for the authority."""

import json
import smtplib
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.dnsserver import DnsServer
from tests.support.pebble import Pebble, missing
from tests.support.server import Server, free_ports

pytestmark = [pytest.mark.clients, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
HERE = {"A": ["127.0.0.1"]}
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")


class Stage:
    """An appliance, its authority and its DNS."""

    def __init__(
        self, folder: Path, *, acme: str = "", dns: str = "", records: dict[str, Any] | None = None, **pebble: Any
    ) -> None:
        self.folder = folder
        names = ("mail.a.test", "mta-sts.a.test", "autoconfig.a.test")
        self.dns = DnsServer(dict.fromkeys(names, HERE) | (records or {}))
        self.dns.__enter__()
        ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.pebble = Pebble(folder, self.dns.port, ports["http"], ports["https"], **pebble)
        settings = (
            f'[acme]\ndirectory = "{self.pebble.url}"\nca_file = "{self.pebble.ca}"\n{acme}\n'
            f'[dns]\nnameservers = ["127.0.0.1:{self.dns.port}"]\n{dns}\n[mta_sts]\nmode = "enforce"\n'
        )
        self.server = Server(folder, ports=ports, settings=settings, environment={"MAILSTACK_TLS__MODE": "acme"})
        self.server.provision()

    def end(self) -> None:
        self.server.stop()
        self.pebble.__exit__()
        self.dns.__exit__()

    def leaf(self, name: str = "mail.a.test", port: str = "imaps") -> x509.Certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.server.ports[port]), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=name) as end:
                return x509.load_der_x509_certificate(end.getpeercert(True) or b"")

    def status(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.server.run("tls", "status", "--json").stdout)}

    def files(self) -> list[Path]:
        return sorted((self.server.data / "tls" / "acme").iterdir())


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Any]:
    made: list[Stage] = []

    def make(**given: Any) -> Stage:
        made.append(Stage(tmp_path, **given))
        return made[-1]

    yield make
    for one in made:
        one.end()


def is_ours(certificate: x509.Certificate) -> bool:
    return "mailstack" in certificate.issuer.rfc4514_string()


def serve(stage: Stage) -> None:
    stage.pebble.__enter__()
    stage.server.start()


@pytest.mark.parametrize("challenge", ["auto", "http-01", "tls-alpn-01"])
def test_from_nothing_to_certificates_for_every_name(stages: Any, challenge: str) -> None:
    stage = stages(acme=f'challenge = "{challenge}"')
    stage.server.start()
    assert is_ours(stage.leaf())  # until there is another one
    stage.server.wait_for_event("tls.order_failed")  # no authority answers yet
    # A session lives on while certificates come and go.
    session = smtplib.SMTP_SSL("127.0.0.1", stage.server.ports["submissions"], timeout=20, context=_blind())
    with stage.pebble:
        stage.server.run("tls", "renew")
        how = {event["how"] for event in stage.server.events("tls.certificate_obtained")}
        assert how == {"http-01" if challenge == "auto" else challenge}
        assert session.noop()[0] == 250
        session.quit()
        # Programs that trust the authority are content, at each door and for each name.
        roots = stage.pebble.root()
        context = ssl.create_default_context(cadata=roots)
        with smtplib.SMTP("127.0.0.1", stage.server.ports["smtp"], timeout=20) as client:
            client._host = "mail.a.test"  # type: ignore[attr-defined]
            client.starttls(context=context)
        for name in ("mail.a.test", "mta-sts.a.test", "autoconfig.a.test"):
            with socket.create_connection(("127.0.0.1", stage.server.ports["https"]), timeout=20) as plain:
                with context.wrap_socket(plain, server_hostname=name) as end:
                    end.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                    assert b"200 OK" in end.recv(4096)
        # The policy of the domain is where other hosts look for it.
        with socket.create_connection(("127.0.0.1", stage.server.ports["https"]), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname="mta-sts.a.test") as end:
                end.sendall(b"GET /.well-known/mta-sts.txt HTTP/1.0\r\nHost: mta-sts.a.test\r\n\r\n")
                assert b"mx: mail.a.test" in b"".join(iter(lambda: end.recv(4096), b""))
    states = {name: row["state"] for name, row in stage.status().items()}
    assert states == {name: "served" for name in states if "autodiscover" not in name} | {"autodiscover.a.test": "elsewhere"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in stage.files()} == {0o600}
    rows = json.loads(stage.server.run("tls", "served", "--json").stdout)
    assert {row["state"] for row in rows} == {"right"}
    assert {row["name"] for row in rows} == {None, "mail.a.test", "mta-sts.a.test", "autoconfig.a.test"}
    # A restart asks for nothing.
    orders = len(stage.server.events("tls.ordering"))
    before = stage.leaf().serial_number
    stage.server.stop()
    stage.server.start()
    assert stage.leaf().serial_number == before
    assert len(stage.server.events("tls.ordering")) == orders


def test_renewal_keeps_the_key_and_the_record(stages: Any) -> None:
    stage = stages()
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 60)
    first, record = stage.leaf(), stage.server.run("tls", "record").stdout
    stage.server.run("tls", "renew", "mail.a.test")
    second = stage.leaf()
    assert second.serial_number != first.serial_number
    assert second.public_key() == first.public_key()
    assert stage.server.run("tls", "record").stdout == record


def test_a_domain_that_is_added_gets_its_certificate_at_once(stages: Any) -> None:
    stage = stages(records={"mta-sts.b.test": HERE})
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 60)
    stage.server.run("domain", "add", "b.test")
    assert stage.server.wait_for_event("tls.certificate_obtained", 2, 60)["names"] == ["mta-sts.b.test"]


def test_by_a_record_that_the_name_server_takes(stages: Any, tmp_path: Path) -> None:
    """RFC 2136 with a key; also through a CNAME into a zone of its own."""
    (tmp_path / "tsig").write_text(f"mail:{SECRET}")
    soa = {"SOA": ["ns.a.test. hostmaster.a.test. 1 3600 600 86400 60"]}
    records = {"a.test": soa, "dyn.test": soa, "_acme-challenge.mta-sts.a.test": {"CNAME": ["x.dyn.test."]}}
    stage = stages(acme='challenge = "dns-01"', records=records)
    stage.dns.keys["mail."] = SECRET
    text = stage.server.configuration.read_text()
    more = f'update_server = "127.0.0.1:{stage.dns.port}"\nupdate_key_file = "{tmp_path / "tsig"}"\n'
    stage.server.configuration.write_text(text.replace("[dns]\n", f"[dns]\n{more}"))
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 60)
    assert {event["how"] for event in stage.server.events("tls.certificate_obtained")} == {"dns-01"}
    assert not any("TXT" in kinds for kinds in stage.dns.records.values())


def test_by_a_program_of_the_admins(stages: Any, tmp_path: Path) -> None:
    """It talks to the name server as it likes; here by a file that the name server reads."""
    hook, told = tmp_path / "hook", tmp_path / "told"
    hook.write_text(f'#!/bin/sh\necho "$@" >> {told}\nwhile ! grep -q "done $2 $3" {told}.done; do sleep 0.05; done\n')
    hook.chmod(0o755)
    Path(f"{told}.done").touch()
    stage = stages(acme=f'challenge = "dns-01"\ndns_hook = ["{hook}"]\nnames = ["www.a.test"]')
    ended = threading.Event()

    def name_server() -> None:
        seen = 0
        while not ended.wait(0.02):
            lines = told.read_text().splitlines() if told.exists() else []
            for word, name, value in (line.split() for line in lines[seen:]):
                if word == "add":
                    stage.dns.add(name, TXT=[f'"{value}"'])
                with open(f"{told}.done", "a") as done:
                    done.write(f"done {name} {value}\n")
            seen = len(lines)

    thread = threading.Thread(target=name_server)
    thread.start()
    try:
        serve(stage)
        stage.server.wait_for_event("tls.certificate_obtained", 0, 60)
    finally:
        ended.set()
        thread.join()
    assert sorted(stage.status()) == ["mail.a.test", "www.a.test"]  # one that has no address: the DNS alone is asked
    assert [line.split()[0] for line in told.read_text().splitlines()] == ["add", "remove"] * 2


def test_a_binding_to_an_account_elsewhere(stages: Any, tmp_path: Path) -> None:
    (tmp_path / "hmac").write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    stage = stages(
        acme=f'eab_kid = "kid-1"\neab_hmac_file = "{tmp_path / "hmac"}"\ncontact = ["alice@a.test"]',
        keys={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"},
    )
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 60)


def test_most_nonces_are_refused(stages: Any) -> None:
    stage = stages(environment={"PEBBLE_WFE_NONCEREJECT": "60"})
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 120)


def test_one_name_leads_elsewhere_in_the_authoritys_eyes(stages: Any) -> None:
    """It has another DNS than this server has: what this server thinks is not what counts."""
    stage = stages(acme='names = ["www.a.test"]')  # not in the DNS at all
    serve(stage)
    event = stage.server.wait_for_event("tls.certificate_obtained", 0, 60)
    assert event["names"] == ["mail.a.test"]
    assert stage.status()["www.a.test"]["state"] == "refused"
    refused = stage.server.events("tls.name_refused")
    assert [one["how"] for one in refused] == ["http-01", "tls-alpn-01"]


def test_nothing_leads_here(stages: Any) -> None:
    stage = stages(dns='addresses = ["192.0.2.1"]')
    stage.dns.records.clear()
    serve(stage)
    stage.server.wait_for_event("tls.order_failed", 0, 60)
    assert is_ours(stage.leaf())
    done = stage.server.run("tls", "renew", "mail.a.test", check=False)
    assert done.returncode == 1
    assert stage.status()["mail.a.test"]["failures"] == 2
    # What went wrong is known after a restart, and is not tried again at once.
    stage.server.stop()
    stage.server.start()
    assert stage.status()["mail.a.test"]["failures"] == 2
    assert len(stage.server.events("tls.ordering")) == 2


def test_killed_in_the_middle_of_an_order(stages: Any) -> None:
    """kill -9 while the authority takes its time: the same order comes to its end, or another if it looked meanwhile."""
    stage = stages(environment={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"})
    serve(stage)
    state = stage.server.data / "tls" / "acme" / "mail.a.test.json"
    end = time.monotonic() + 30
    while not state.exists() or json.loads(state.read_text()).get("order") is None:
        assert time.monotonic() < end
        threading.Event().wait(0.01)
    stage.server.kill()
    key = (state.parent / "mail.a.test.key").read_bytes()
    accounts = [path.read_bytes() for path in stage.files() if path.name.startswith("account-")]
    stage.server.start()
    stage.server.wait_for_event("tls.certificate_obtained", 1, 120)
    assert (state.parent / "mail.a.test.pem").read_bytes().startswith(key)
    assert [path.read_bytes() for path in stage.files() if path.name.startswith("account-")] == accounts
    assert stage.pebble.log().count("Issued certificate serial") == 2
    assert stage.pebble.log().count("There are now 1 accounts in memory") == 1


def test_an_authority_that_forgot_everything(stages: Any) -> None:
    """Pebble keeps nothing over a restart: the account is made again, with the same key."""
    stage = stages()
    serve(stage)
    stage.server.wait_for_event("tls.certificate_obtained", 1, 60)
    stage.pebble.__exit__()
    with stage.pebble:
        first = stage.leaf().serial_number
        stage.server.run("tls", "renew", "mail.a.test")
        assert stage.leaf().serial_number != first


def _blind() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
