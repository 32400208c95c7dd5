"""The POP3 door from outside: Python's own client, what ends a session, and messages of any size."""

import contextlib
import poplib
import re
import resource
import socket
import ssl
import threading
from pathlib import Path

import pytest

from mailstack.pop3.commands import HANDLERS
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

DIALOGS = Path(__file__).parents[1] / "dialogs"
LONG = b"x" * 70 + b"\r\n"


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def login(server: Server, account: str, password: str = PASSWORD) -> poplib.POP3:
    one = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
    one.user(f"{account}@a.test")
    one.pass_(password)
    return one


def fill(server: Server, account: str, *messages: bytes) -> None:
    connection = server.imap(account)
    for message in messages:
        assert connection.append("INBOX", None, None, message)[0] == "OK"
    connection.logout()


def test_each_command_succeeds_in_a_dialog() -> None:
    succeeded: set[str] = set()
    for path in DIALOGS.glob("pop3*/*.txt"):
        sent = ""
        for line in path.read_text().splitlines():
            if line[1:3] == "> ":
                sent = re.split(r"[ \\]", line[3:])[0].upper()
            elif line[1:6] == "< +OK" and sent:
                succeeded.add(sent)
    assert set(HANDLERS) <= succeeded | {"PASS"}


@pytest.mark.parametrize("tls", ["stls", "implicit"])
def test_pythons_own_client(server: Server, account: str, tls: str) -> None:
    fill(server, account, b"Subject: one\r\n\r\n.dot\r\n", b"Subject: two\r\n\r\n" + LONG * 3)
    one: poplib.POP3
    if tls == "stls":
        one = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        one.stls(unverified())
    else:
        one = poplib.POP3_SSL("127.0.0.1", server.ports["pop3s"], timeout=30, context=unverified())
    assert "SASL" in one.capa()
    one.user(f"{account}@a.test")
    one.pass_(PASSWORD)
    assert one.stat() == (2, 22 + 16 + 3 * 72)
    assert one.list()[1] == [b"1 22", b"2 232"]
    assert one.retr(1)[1] == [b"Subject: one", b"", b".dot"]
    assert one.top(2, 1)[1] == [b"Subject: two", b"", b"x" * 70]
    names = [line.split()[1] for line in one.uidl()[1]]
    one.dele(1)
    one.quit()
    again = login(server, account)
    assert [line.split()[1] for line in again.uidl()[1]] == names[1:]
    again.quit()


def test_without_tls_nobody_logs_in(server: Server, account: str, tmp_path: Path) -> None:
    strict = Server(tmp_path)
    text = strict.configuration.read_text().replace("allow_plaintext = true", "allow_plaintext = false")
    strict.configuration.write_text(text)
    strict.provision()
    strict.start()
    try:
        one = poplib.POP3("127.0.0.1", strict.ports["pop3"], timeout=30)
        assert not {"USER", "SASL"} & set(one.capa())
        with pytest.raises(poplib.error_proto, match="TLS"):
            one.user("alice@a.test")
        with pytest.raises(poplib.error_proto, match="TLS"):
            one._shortcmd("AUTH PLAIN AGFsaWNlAHg=")  # type: ignore[attr-defined]
        one.stls(unverified())
        assert {"USER", "SASL"} <= set(one.capa())
        one.user("alice@a.test")
        one.pass_(PASSWORD)
        one.quit()
    finally:
        strict.stop()


def test_what_is_sent_before_the_handshake_is_not_obeyed(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["pop3"]), timeout=20) as one:
        one.recv(100)
        one.sendall(b"STLS\r\nCAPA\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(100) == b""


def test_a_new_password_ends_the_session(server: Server, account: str) -> None:
    fill(server, account, b"x\r\n")
    one = login(server, account)
    one.dele(1)
    server.run("user", "passwd", f"{account}@a.test", "--password-stdin", stdin="sesame\n")
    with pytest.raises((poplib.error_proto, OSError)):
        one.quit()
    with pytest.raises(poplib.error_proto, match="AUTH"):
        login(server, account)
    again = login(server, account, "sesame")
    assert again.stat()[0] == 1
    again.quit()


def test_a_connection_that_breaks_gives_the_maildrop_back(server: Server, account: str) -> None:
    fill(server, account, b"x\r\n")
    first = login(server, account)
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        login(server, account)
    first.dele(1)
    first.close()
    for _ in range(200):
        try:
            again = login(server, account)
            break
        except poplib.error_proto:
            threading.Event().wait(0.05)
    assert again.stat()[0] == 1
    again.quit()


def test_a_client_that_does_not_read_keeps_no_message_in_memory(server: Server, account: str) -> None:
    """40 MB to a deaf client: the server's memory stays, and others are served."""
    fill(server, account, b"Subject: large\r\n\r\n" + LONG * 560_000)
    with socket.create_connection(("127.0.0.1", server.ports["pop3"]), timeout=30) as deaf:
        deaf.sendall(f"USER {account}@a.test\r\nPASS {PASSWORD}\r\n".encode())
        file = deaf.makefile("rb")
        assert [file.readline()[:3] for _ in range(3)] == [b"+OK"] * 3
        before = memory(server)
        deaf.sendall(b"RETR 1\r\n")
        assert file.readline().startswith(b"+OK")
        for _ in range(20):
            assert server.imap("alice").noop()[0] == "OK"
        assert memory(server) - before < 12 << 20
        size = 0
        while (line := file.readline()) != b".\r\n":
            size += len(line)
        assert size == 18 + 72 * 560_000
        assert memory(server) - before < 12 << 20


def memory(server: Server) -> int:
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_octets_that_end_lines_early_end_no_message(server: Server, account: str) -> None:
    """A bare LF is an end of line to many clients: what follows it is stuffed too."""
    with Client(server.ports["imap"]) as client:  # it sends octets as they are
        client.login(f"{account}@a.test", PASSWORD)
        client.append("INBOX", b"Subject: odd\r\n\r\na\n.\nDELE 1\r\rb\r\n.\r\n")
    with socket.create_connection(("127.0.0.1", server.ports["pop3"]), timeout=30) as one:
        file = one.makefile("rb")
        one.sendall(f"USER {account}@a.test\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n".encode())
        text = file.read()
    assert b"\r\na\r\n..\r\nDELE 1\r\rb\r\n..\r\n.\r\n+OK" in text
