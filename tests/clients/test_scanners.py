"""rspamd and ClamAV of Debian as judges of a running server: make test-clients."""

import os
import shutil
import smtplib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.server import Server, free_ports

pytestmark = pytest.mark.clients
VIRUS = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
UNWANTED = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
CLAMD = """
TCPSocket {port}
TCPAddr 127.0.0.1
DatabaseDirectory {folder}/signatures
LogFile {folder}/clamd.log
Foreground yes
"""
RSPAMD = """
options {{ pidfile = "{folder}/rspamd.pid"; filters = "chartable,dkim,regexp"; dns {{ nameserver = ["127.0.0.1:1"]; }}
  rundir = "{folder}"; dbdir = "{folder}"; url_tld = "/usr/share/rspamd/effective_tld_names.dat"; gtube_patterns = "all"; }}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "notice"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
actions {{ reject = 15; "add header" = 6; greylist = 4; }}
"""


def started(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
                threading.Event().wait(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (make test-clients installs it)")
    return found


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    program, folder, port = needed("clamd"), tmp_path_factory.mktemp("clamd"), free_ports(1)[0]
    (folder / "signatures").mkdir()
    (folder / "signatures" / "own.ndb").write_text(f"Own.Test:0:*:{VIRUS.encode().hex()}\n")
    (folder / "clamd.conf").write_text(CLAMD.format(folder=folder, port=port))
    for process in started([program, "-c", str(folder / "clamd.conf")], port, folder / "out"):
        yield port, process


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    program, folder, port = needed("rspamd"), tmp_path_factory.mktemp("rspamd"), free_ports(1)[0]
    (folder / "rspamd.conf").write_text(RSPAMD.format(folder=folder, port=port))
    command = [program, "-f", "-c", str(folder / "rspamd.conf")]
    if os.getuid() == 0:
        command.append("-i")
    for process in started(command, port, folder / "out"):
        yield port, process


@pytest.fixture
def scanned(
    tmp_path: Path, clamd: tuple[int, subprocess.Popen[bytes]], rspamd: tuple[int, subprocess.Popen[bytes]]
) -> Iterator[Server]:
    settings = f'[spam]\nclamd = "127.0.0.1:{clamd[0]}"\nclamd_down = "defer"\nrspamd = "http://127.0.0.1:{rspamd[0]}"\n'
    one = Server(tmp_path, users=("alice",), settings=settings)
    one.provision()
    one.start()
    yield one
    one.stop()


def send(server: Server, body: str) -> None:
    text = f"From: carol@far.example\r\nTo: alice@a.test\r\nSubject: x\r\nDate: {formatdate()}\r\nMessage-ID: <1@b.test>\r\n"
    with server.smtp() as client:
        client.sendmail("carol@far.example", ["alice@a.test"], f"{text}\r\n{body}\r\n")


def newest(server: Server, mailbox: str) -> bytes:
    client = server.imap("alice")
    client.select(mailbox)
    found = client.fetch("*", "(BODY.PEEK[])")[1]
    client.logout()
    return b"".join(piece if isinstance(piece, bytes) else b"".join(piece) for piece in found if piece is not None)


def test_what_they_find_is_refused_or_weighed_and_without_them_mail_waits_or_goes_on(
    scanned: Server, clamd: tuple[int, subprocess.Popen[bytes]], rspamd: tuple[int, subprocess.Popen[bytes]]
) -> None:
    send(scanned, "Hello")
    found = newest(scanned, "INBOX")
    assert b"clamd=0.0" in found
    assert b"rspamd=" in found
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(scanned, "x" * 900 + "\r\n" + VIRUS)
    assert refused.value.smtp_code == 550
    assert b"Own.Test" in refused.value.smtp_error
    with pytest.raises(smtplib.SMTPDataError) as unwanted:
        send(scanned, UNWANTED)  # 15 of 6: more than what is refused here
    assert b"looks like unwanted mail" in unwanted.value.smtp_error
    assert b"rspamd=12.5" in newest(scanned, "Rejects")
    rspamd[1].terminate()
    rspamd[1].wait(20)
    send(scanned, "again")
    assert b"rspamd=0.0" in newest(scanned, "INBOX")
    clamd[1].terminate()
    clamd[1].wait(20)
    with pytest.raises(smtplib.SMTPDataError) as later:
        send(scanned, "later")
    assert (later.value.smtp_code, later.value.smtp_error[:5]) == (451, b"4.7.1")
