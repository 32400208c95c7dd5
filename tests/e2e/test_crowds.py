"""limits.connections counts SMTP and IMAP together; who is logged in stays."""

import imaplib
import smtplib
import socket
from pathlib import Path

import pytest

from tests.support.server import Server


@pytest.fixture
def crowded(tmp_path: Path) -> Server:
    return Server(tmp_path, users=("alice",), settings="[limits]\nconnections = 3\n")


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
