"""SIGHUP: what can change without new sockets changes, a bad file changes nothing, and one event says what was done."""

import base64
import datetime
import json
import signal
import smtplib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from tests.support.server import PASSWORD, Server
from tests.support.sink import CountingSink


class Running(Server):
    """A server whose file is changed while it runs."""

    def put(self, table: str, key: str, value: str) -> None:
        """Set a key, in its table."""
        lines = self.configuration.read_text().splitlines()
        begin = lines.index(f"[{table}]") + 1 if table else 0
        end = next((place for place in range(begin, len(lines)) if lines[place].startswith("[")), len(lines))
        kept = [line for line in lines[begin:end] if not line.startswith(f"{key} =")]
        self.configuration.write_text("\n".join([*lines[:begin], f"{key} = {value}", *kept, *lines[end:]]) + "\n")

    def reload(self) -> dict[str, Any]:
        """Ask for it; the event that says what came of it."""
        seen = len(self.events("reload"))
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for_event("reload", seen)

    def size(self) -> int:
        with self.smtp() as client:
            client.ehlo()
            return int(client.esmtp_features["size"])

    def serial(self) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.ports["imaps"]), timeout=20) as plain:
            with context.wrap_socket(plain) as connection:
                data = connection.getpeercert(binary_form=True)
        assert data is not None
        return x509.load_der_x509_certificate(data).serial_number


def pair(folder: Path, name: str) -> tuple[Path, Path, int]:
    one = trustme.CA().issue_cert("mail.a.test")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    one.cert_chain_pems[0].write_to_path(certificate)
    one.private_key_pem.write_to_path(key)
    return certificate, key, x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number


def turn(link: Path, target: Path) -> None:
    """At no moment is there nothing."""
    link.with_suffix(".next").symlink_to(target)
    link.with_suffix(".next").replace(link)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("reload")
    certificate, key, _ = pair(folder, "first")
    server = Running(folder, settings="[limits]\n[dns]\n[store]\n")
    server.put("tls", "mode", '"files"')
    server.put("tls", "certificate", f'"{certificate}"')
    server.put("tls", "key", f'"{key}"')
    server.provision()
    server.start()
    yield server
    server.stop()


def test_nothing_changed(running: Running) -> None:
    event = running.reload()
    assert (event["event"], event["changed"], event["needs_restart"]) == ("reloaded", [], [])


def test_limits_are_taken_by_new_connections(running: Running) -> None:
    old = running.smtp()
    old.ehlo()
    running.put("limits", "message_size", '"1MiB"')
    running.put("limits", "recipients", "1")
    assert running.reload()["changed"] == ["limits.message_size", "limits.recipients"]
    assert running.size() == 1 << 20
    # What a connection was told holds as long as it lives.
    assert old.mail("s@far.test", ["SIZE=2000000"])[0] == 250
    old.quit()
    with running.smtp() as client:
        client.ehlo()
        assert client.mail("s@far.test", ["SIZE=2000000"])[0] == 552
        client.mail("s@far.test")
        assert client.rcpt("alice@a.test")[0] == 250
        assert client.rcpt("bob@a.test")[0] == 452
    imap = running.imap("alice")
    assert b"APPENDLIMIT=1048576" in imap.capability()[1][0]
    imap.logout()


def test_a_certificate_in_the_same_files_or_in_others(running: Running, tmp_path: Path) -> None:
    certificate, key, before = pair(tmp_path, "first")
    running.put("tls", "certificate", f'"{certificate}"')
    running.put("tls", "key", f'"{key}"')
    running.reload()
    assert running.serial() == before
    *_, serial = pair(tmp_path, "first")
    assert running.reload()["changed"] == []
    assert running.serial() == serial
    certificate, key, serial = pair(tmp_path, "second")
    running.put("tls", "certificate", f'"{certificate}"')
    running.put("tls", "key", f'"{key}"')
    assert running.reload()["changed"] == ["tls.certificate", "tls.key"]
    assert running.serial() == serial


def test_a_certificate_is_taken_without_being_told(running: Running, tmp_path: Path) -> None:
    """As certbot renews: links are turned. Half of it, and the old one is served on."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"
    old, old_key, first = pair(tmp_path / "one", "cert")
    certificate.symlink_to(old)
    key.symlink_to(old_key)
    running.put("tls", "certificate", f'"{certificate}"')
    running.put("tls", "key", f'"{key}"')
    running.reload()
    assert running.serial() == first
    session = running.imap("alice")
    new, new_key, second = pair(tmp_path / "two", "cert")
    told = len(running.events("tls.files_unusable"))
    turn(certificate, new)
    event = running.wait_for_event("tls.files_unusable", told)
    assert "does not belong" in event["problem"]
    assert running.serial() == first
    taken = len(running.events("tls.files_taken"))
    turn(key, new_key)
    running.wait_for_event("tls.files_taken", taken)
    assert running.serial() == second
    assert session.noop()[0] == "OK"
    session.logout()
    assert len(running.events("tls.files_unusable")) == told + 1


def test_what_traefik_renews_is_taken_and_the_end_of_it_is_told(running: Running, tmp_path: Path) -> None:
    good = running.configuration.read_text()
    path = tmp_path / "acme.json"
    try:
        first = put_traefik(path, datetime.timedelta(days=90))
        running.put("tls", "certificate", f'"{path}"')
        assert running.reload()["event"] == "reloaded"
        assert running.serial() == first
        told = len(running.events("postmaster.told"))
        second = put_traefik(path, datetime.timedelta(days=5))
        assert "within 7 days" in running.wait_for_event("postmaster.told", told)["subject"]
        assert running.serial() == second
        text = path.read_text()
        broken = len(running.events("tls.files_unusable"))
        path.write_text(text[: len(text) // 2])
        running.wait_for_event("tls.files_unusable", broken)
        assert running.serial() == second
    finally:
        running.configuration.write_text(good)
        running.reload()


def put_traefik(path: Path, life: datetime.timedelta) -> int:
    """As Traefik does, which writes over the file; the serial number of its certificate."""
    one = trustme.CA().issue_cert("mail.a.test", not_after=datetime.datetime.now(datetime.UTC) + life)
    certificate = one.cert_chain_pems[0].bytes()
    texts = [base64.b64encode(data).decode() for data in (certificate, one.private_key_pem.bytes())]
    held = {"domain": {"main": "mail.a.test"}, "certificate": texts[0], "key": texts[1]}
    path.write_text(json.dumps({"le": {"Account": None, "Certificates": [held]}}))
    return x509.load_pem_x509_certificate(certificate).serial_number


def test_a_bad_file_changes_nothing(running: Running, tmp_path: Path) -> None:
    good = running.configuration.read_text()
    serial, size = running.serial(), running.size()
    certificate, _, _ = pair(tmp_path, "third")
    _, key, _ = pair(tmp_path, "fourth")
    try:
        running.put("limits", "message_size", '"2MiB"')
        running.put("tls", "certificate", f'"{certificate}"')
        running.put("tls", "key", f'"{key}"')
        event = running.reload()
        assert event["event"] == "reload.refused"
        assert "tls.certificate" in event["problem"]
        assert "does not belong" in event["problem"]
        assert (running.serial(), running.size()) == (serial, size)
        running.configuration.write_text(f"{good}colour = 1\n")
        event = running.reload()
        assert event["event"] == "reload.refused"
        assert "colour" in event["problem"]
        running.configuration.unlink()
        assert running.reload()["event"] == "reload.refused"
        assert (running.serial(), running.size()) == (serial, size)
    finally:
        running.configuration.write_text(good)
    assert running.reload()["event"] == "reloaded"


def test_what_needs_a_restart_is_named_and_kept(running: Running) -> None:
    good = running.configuration.read_text()
    try:
        running.put("", "hostname", '"other.a.test"')
        running.put("", "postmaster", '"bob@a.test"')
        running.put("listen", "http", "[]")
        running.put("store", "index_dir", f'"{running.folder}/indexes"')
        event = running.reload()
        assert event["changed"] == ["postmaster"]
        assert event["needs_restart"] == ["hostname", "listen.http", "store.index_dir"]
        with running.smtp() as client:
            assert b"mail.a.test" in client.ehlo()[1]
            client.sendmail("s@far.test", "postmaster@a.test", b"From: s@far.test\r\nSubject: to bob now\r\n\r\nHello.\r\n")
        imap = running.imap("bob")
        imap.select("INBOX", readonly=True)
        assert imap.search(None, "SUBJECT", '"to bob now"')[1] != [b""]
        imap.logout()
    finally:
        running.configuration.write_text(good)
        running.reload()


def test_logins_without_tls(running: Running) -> None:
    running.put("auth", "allow_plaintext", "false")
    assert running.reload()["changed"] == ["auth.allow_plaintext"]
    try:
        with smtplib.SMTP("127.0.0.1", running.ports["submission"], timeout=20) as client:
            client.ehlo()
            assert not client.has_extn("auth")
            assert client.docmd("AUTH", "PLAIN AGFAYQB4")[0] == 538
    finally:
        running.put("auth", "allow_plaintext", "true")
        running.reload()
    with smtplib.SMTP("127.0.0.1", running.ports["submission"], timeout=20) as client:
        client.login("alice@a.test", PASSWORD)


def test_the_relay_goes_another_way(running: Running) -> None:
    """A queued message leaves by the smarthost that the file names now."""
    running.put("relay", "smarthost", '"smtp://127.0.0.1:1"')
    assert running.reload()["changed"] == ["relay.smarthost"]
    with running.submission("alice") as client:
        client.sendmail("alice@a.test", ["x@far.test"], b"From: alice@a.test\r\nSubject: another-way\r\n\r\nHello.\r\n")
    running.wait_for_event("message.attempt_failed", 0)
    with CountingSink() as sink:
        running.put("relay", "smarthost", f'"smtp://127.0.0.1:{sink.port}"')
        assert running.reload()["changed"] == ["relay.smarthost"]
        running.wait_for_event("message.relayed", 0)
        assert sink.wait_for({"another-way"}, 20) == {"another-way"}


def test_the_level_of_the_log(running: Running) -> None:
    running.put("log", "level", '"debug"')
    assert running.reload()["changed"] == ["log.level"]
    with running.smtp() as client:
        client.sendmail("s@far.test", "alice@a.test", b"From: s@far.test\r\nSubject: x\r\n\r\nHello.\r\n")
    running.wait_for_event("smtp.judged", 0)
