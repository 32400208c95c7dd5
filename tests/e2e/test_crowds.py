"""limits.connections counts SMTP and IMAP together; who is logged in stays."""

import imaplib
import smtplib
import socket
import time
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server


@pytest.fixture
def crowded(tmp_path: Path) -> Server:
    return Server(tmp_path, users=("alice",), settings="[limits]\nconnections = 3\n")


@pytest.mark.parametrize("door", ["imaps", "submissions", "pop3s"])
def test_handshakes_that_never_end_count(crowded: Server, door: str) -> None:
    crowded.provision()
    crowded.start()
    try:
        idle = [socket.create_connection(("127.0.0.1", crowded.ports[door]), timeout=20) for _ in range(4)]
        # The last one is one too many, and gets not even a handshake.
        assert _is_closed(idle[-1])
        assert greeting(crowded.ports["imap"]).startswith(b"* BYE Too many connections to this server")
        for one in idle:
            one.close()
        end = time.monotonic() + 20
        while not greeting(crowded.ports["imap"]).startswith(b"* OK"):
            assert time.monotonic() < end
        with imaplib.IMAP4_SSL("127.0.0.1", crowded.ports["imaps"], timeout=20) as secure:
            secure.login("alice@a.test", PASSWORD)
            assert secure.noop()[0] == "OK"
    finally:
        crowded.stop()


def _is_closed(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        return connection.recv(1000)


def test_all_connections(crowded: Server) -> None:
    crowded.provision()
    crowded.start()
    try:
        with crowded.smtp() as outside, crowded.submission("alice") as sender:
            reader = crowded.imap("alice")
            assert greeting(crowded.ports["smtp"]).startswith(b"421 4.7.0 Too many connections to this server")
            assert greeting(crowded.ports["imap"]).startswith(b"* BYE Too many connections to this server")
            with pytest.raises(imaplib.IMAP4.error):
                crowded.imap("alice")
            with pytest.raises(smtplib.SMTPConnectError):
                crowded.smtp()
            assert outside.noop()[0] == 250
            assert sender.noop()[0] == 250
            assert reader.noop()[0] == "OK"
            reader.logout()
            assert greeting(crowded.ports["imap"]).startswith(b"* OK")
        log = (crowded.folder / "log").read_text()
        assert "smtp.too_many_connections" in log
        assert "imap.too_many_connections" in log
    finally:
        crowded.stop()
