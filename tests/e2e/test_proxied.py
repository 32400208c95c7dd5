"""Doors behind a proxy: each takes the client's address from the header, before TLS too, and takes nothing from others."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from mailstack.cli.reaching import trusting
from mailstack.wire.proxy import LOCAL_HEADER, SIGNATURE
from tests.support.server import PASSWORD, Server

SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 25\r\n"
ADDRESSES = bytes([203, 0, 113, 7, 198, 51, 100, 1]) + b"\x9c\x40\x00\x19"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 19) + ADDRESSES + b"\x04\x00\x04abcd"
SIX = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n"
GREETINGS = {"smtp": b"220 ", "submission": b"220 ", "submissions": b"220 ", "imap": b"* OK", "imaps": b"* OK",
             "pop3": b"+OK", "pop3s": b"+OK", "managesieve": b'"IMPLEMENTATION"'}  # fmt: skip
TLS = trusting()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    names = ", ".join(f'"{name}"' for name in SERVICES)
    settings = f'[proxy]\nlisteners = [{names}]\ntrusted = ["127.0.0.1"]\n[spam]\ngreylist = ""\n'
    one = Server(tmp_path_factory.mktemp("proxied"), settings=settings)
    one.provision()
    one.wait_for = lambda name, end: None  # type: ignore[method-assign] # they greet nobody without a header
    one.start()
    one.wait_for_event("ready")
    yield one
    one.stop()


@contextlib.contextmanager
def connected(server: Server, name: str, header: bytes) -> Iterator[socket.socket]:
    """Connected with a header, octet by octet where TLS follows in the same moment; TLS where the service begins with it."""
    with socket.create_connection(("127.0.0.1", server.ports[name]), timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.sendall(header)
        if not name.endswith("s"):
            yield plain
            return
        with TLS.wrap_socket(plain) as secure:
            yield secure


@pytest.mark.parametrize("header", [V1, V2, SIX, LOCAL_HEADER], ids=["v1", "v2", "v1-ipv6", "local"])
@pytest.mark.parametrize("name", sorted(GREETINGS))
def test_every_door_greets_behind_the_header(proxied: Server, name: str, header: bytes) -> None:
    with connected(proxied, name, header) as one:
        assert one.recv(512).startswith(GREETINGS[name])


def test_the_header_may_come_in_pieces_and_with_what_follows(proxied: Server) -> None:
    with socket.create_connection(("127.0.0.1", proxied.ports["smtp"]), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in V2:
            one.sendall(bytes([octet]))
        assert one.recv(512).startswith(b"220 ")
    with socket.create_connection(("127.0.0.1", proxied.ports["http"]), timeout=10) as one:
        one.sendall(V1 + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(512).startswith(b"HTTP/1.1 200")


class Speaker:
    """An SMTP client of one line at a time."""

    def __init__(self, one: socket.socket) -> None:
        self.one, self.lines = one, one.makefile("rb")

    def reply(self) -> bytes:
        while (line := self.lines.readline())[3:4] == b"-":
            pass
        return line

    def say(self, *lines: str) -> bytes:
        for line in lines:
            self.one.sendall(line.encode() + b"\r\n")
            reply = self.reply()
        return reply


def send(server: Server, subject: str, *, tls: bool) -> None:
    with connected(server, "smtp", V2) as plain:
        client = Speaker(plain)
        assert client.reply().startswith(b"220")
        if tls:
            assert client.say("EHLO mx.far.test", "STARTTLS").startswith(b"220")
            client = Speaker(TLS.wrap_socket(plain))
        envelope = ("EHLO mx.far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<alice@a.test>", "DATA")
        assert client.say(*envelope).startswith(b"354")
        assert client.say(f"Subject: {subject}\r\n\r\nhello\r\n.").startswith(b"250")


def test_the_clients_address_is_what_the_log_the_trace_and_received_say(proxied: Server) -> None:
    send(proxied, "in clear", tls=False)
    send(proxied, "by STARTTLS", tls=True)
    for name, answer in (("imap", b"a NO [PRIVACYREQUIRED]"), ("imaps", b"a NO [AUTHENTICATIONFAILED]")):
        with connected(proxied, name, SIX) as one:
            one.sendall(b"a LOGIN alice@a.test wrong\r\nb LOGOUT\r\n")
            assert answer in one.makefile("rb").read()
    found = json.loads(proxied.run("why", "alice@a.test", "by STARTTLS", "--json").stdout)["stories"][0]
    assert found["events"][0]["peer"] == "203.0.113.7"
    assert found["events"][0]["tls"].startswith("TLSv1.3")
    with connected(proxied, "imaps", V1) as secure:
        login = f'a LOGIN alice@a.test "{PASSWORD}"'
        secure.sendall(f"{login}\r\nb SELECT INBOX\r\nc FETCH 1 BODY[HEADER]\r\nd LOGOUT\r\n".encode())
        assert b"from mx.far.test ([203.0.113.7])" in secure.makefile("rb").read()
    assert proxied.events("imap.login_failed")[-1]["peer"] == "2001:db8::7"
    assert proxied.events("imap.login")[-1]["peer"] == "203.0.113.7"


def test_a_private_address_that_hides_several_hosts_is_told_of_and_judges_nobody(proxied: Server) -> None:
    for number in range(4):
        with connected(proxied, "smtp", b"PROXY TCP4 10.9.8.7 198.51.100.1 40000 25\r\n") as plain:
            client = Speaker(plain)
            assert client.reply().startswith(b"220")
            assert client.say(f"EHLO mx{number}.far{number}.test", f"MAIL FROM:<c@far{number}.test>").startswith(b"250")
    event = proxied.wait_for_event("nat.suspected")
    assert event["peer"] == "10.9.8.7"
    assert event["hosts"] == ["mx0.far0.test", "mx1.far1.test", "mx2.far2.test"]
    (found,) = [row for row in json.loads(proxied.run("check", "--json", check=False).stdout) if row["what"] == "NAT"]
    assert "10.9.8.7, a private address" in found["text"]
    assert "network_mode: host" in found["text"]


def said(server: Server, name: str, data: bytes) -> bytes:
    """All that comes back before the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.ports[name]), timeout=10) as one:
        with contextlib.suppress(ConnectionError):
            one.sendall(data)
            return one.recv(512)
        return b""


@pytest.mark.parametrize("data", [b"EHLO x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1 2 3 4\r\n", b"\x16\x03\x01\x00"])
def test_who_sends_no_header_is_refused_without_a_word(proxied: Server, data: bytes) -> None:
    for name in ("smtp", "imaps", "http"):
        assert said(proxied, name, data) == b""


def test_commands_of_the_same_machine_reach_the_doors(proxied: Server) -> None:
    assert "all 10 listeners answer" in proxied.run("health").stdout
    assert "IMAP FETCH" in proxied.run("selftest").stdout
