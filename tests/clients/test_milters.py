"""Milters of Debian beside a running server: opendkim signs what users send and judges what comes in, rspamd weighs."""

import os
import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.mailauth.dkim import dns_record, generate, load
from tests.clients.test_scanners import UNWANTED, needed, started
from tests.support.judging import dkim_words
from tests.support.server import Server, free_ports

pytestmark = pytest.mark.clients
HEADER = (
    b"From: Alice <alice@a.test>\r\nTo: bob@a.test\r\nSubject: hello\r\n\tagain\r\n"
    b"Date: Thu, 26 Nov 2026 00:00:00 +0000\r\nMessage-ID: <%d@a.test>\r\nBcc: carol@a.test\r\n\r\n"
)
MESSAGE = HEADER + b"body  of it\r\n" * 9000
ANSWER = re.compile(rb"^Authentication-Results: mail\.a\.test;\s+dkim=(\w+)", re.MULTILINE)
COMMON = "Socket inet:{port}@127.0.0.1\nBackground no\nRequireSafeKeys no\nSyslog no\nPidFile {folder}/pid{port}\n"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    pem = generate("rsa")
    return pem, dns_record(load(pem, "a.test", "s"))


def opendkim(folder: Path, name: str, port: int, settings: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("opendkim", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("opendkim is not installed (make test-clients installs it)")
    (folder / name).write_text(COMMON.format(port=port, folder=folder) + settings)
    yield from started([program, "-f", "-x", str(folder / name)], port, folder / f"{name}.log")


@pytest.fixture
def signer(tmp_path: Path, record: tuple[bytes, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    (tmp_path / "key").write_bytes(record[0])
    (tmp_path / "key").chmod(0o600)
    port = free_ports(1)[0]
    # Strict about every blank: what it was shown is what is delivered.
    settings = (
        f"Mode s\nDomain a.test\nSelector s\nKeyFile {tmp_path}/key\nCanonicalization simple/simple\nOversignHeaders From\n"
    )
    for process in opendkim(tmp_path, "signer", port, settings):
        yield port, process


@pytest.fixture
def verifier(tmp_path: Path, record: tuple[bytes, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    (tmp_path / "keys").write_text(f"s._domainkey.a.test {record[1]}\n")
    port = free_ports(1)[0]
    settings = f"Mode v\nTestPublicKeys {tmp_path}/keys\nAlwaysAddARHeader yes\nInternalHosts 192.0.2.99\n"
    for process in opendkim(tmp_path, "verifier", port, settings):
        yield port, process


def newest(server: Server, user: str) -> bytes:
    client = server.imap(user)
    client.select("INBOX")
    found = client.fetch("*", "(BODY.PEEK[])")[1]
    client.logout()
    return next(piece[1] for piece in found if isinstance(piece, tuple))


def test_it_signs_and_judges(
    tmp_path: Path,
    record: tuple[bytes, str],
    signer: tuple[int, subprocess.Popen[bytes]],
    verifier: tuple[int, subprocess.Popen[bytes]],
) -> None:
    settings = f'[milter]\ninbound = ["127.0.0.1:{verifier[0]}"]\nsubmission = ["inet:127.0.0.1:{signer[0]}"]\n'
    server = Server(tmp_path, settings=settings)
    server.provision()
    server.start()
    try:
        with server.submission("alice") as client:
            client.sendmail("alice@a.test", ["bob@a.test"], MESSAGE % 1)
        signed = newest(server, "bob")
        assert b"Bcc" not in signed
        assert dkim_words(signed, {"s._domainkey.a.test": record[1]}) == ["pass"]
        at = re.search(rb"^DKIM-Signature:", signed, re.MULTILINE)
        assert at is not None
        forged = b"Authentication-Results: mail.a.test; dkim=pass (no)\r\n"
        for message, word in ((signed, b"pass"), (signed.replace(b"hello", b"hullo"), b"fail")):
            with server.smtp() as client:
                client.sendmail("x@far.test", ["alice@a.test"], forged + message[at.start() :])
            found = newest(server, "alice")
            assert ANSWER.findall(found) == [word]
            assert found.index(b"Authentication-Results") < found.index(b"\r\nReceived")
        # Without it the sender is to come again.
        verifier[1].terminate()
        verifier[1].wait(20)
        with server.smtp() as client, pytest.raises(smtplib.SMTPDataError) as later:
            client.sendmail("x@far.test", ["alice@a.test"], MESSAGE % 2)
        assert (later.value.smtp_code, later.value.smtp_error[:5]) == (451, b"4.7.1")
    finally:
        server.stop()


RSPAMD = """
options {{ pidfile = "{folder}/rspamd.pid"; filters = "regexp"; dns {{ nameserver = ["127.0.0.1:1"]; }}
  rundir = "{folder}"; dbdir = "{folder}"; url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  enable_test_patterns = true; }}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "notice"; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; count = 1; timeout = 30s;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
actions {{ reject = 15; "add header" = 6; greylist = 4; }}
"""


def test_rspamd_marks_and_refuses(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    (tmp_path / "rspamd.conf").write_text(RSPAMD.format(folder=tmp_path, port=port))
    command = [needed("rspamd"), "-f", "-c", str(tmp_path / "rspamd.conf"), *(["-i"] if os.getuid() == 0 else [])]
    server = Server(tmp_path, users=("alice",), settings=f'[milter]\ninbound = ["127.0.0.1:{port}"]\n')
    server.provision()
    for _ in started(command, port, tmp_path / "out"):
        server.start()
        try:
            with server.smtp() as client:
                client.sendmail("x@far.test", ["alice@a.test"], MESSAGE % 1)
                assert b"X-Spam:" not in newest(server, "alice")
                # The second of its test patterns: only to be marked.
                client.sendmail("x@far.test", ["alice@a.test"], HEADER % 2 + f"Y{UNWANTED[1:]}\r\n".encode())
                assert b"\r\nX-Spam: Yes\r\n" in newest(server, "alice")
                with pytest.raises(smtplib.SMTPDataError) as refused:
                    client.sendmail("x@far.test", ["alice@a.test"], HEADER % 3 + f"{UNWANTED}\r\n".encode())
                assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (554, b"5.7.1")
        finally:
            server.stop()
