"""Memory and the many: a large message costs little of it, and thousands who say nothing stop nobody."""

import contextlib
import resource
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server

LARGE = 50_000_000
LINE = b"x" * 76 + b"\r\n"
CROWD = 2000
MIB = 1 << 20


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody else uses, so that its memory is this test's."""
    one = Server(tmp_path_factory.mktemp("lone"), users=("alice", "bob"))
    one.configuration.write_text(one.configuration.read_text() + '[limits]\nmessage_size = "60MiB"\n')
    one.provision()
    one.start()
    yield one
    one.stop()


def field(server: Server, name: str) -> int:
    """Of /proc/<pid>/status, in octets."""
    assert server.process is not None
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{name}:"))


def reset_peak(server: Server) -> None:
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def by_data(client: smtplib.SMTP, size: int) -> None:
    assert client.docmd("DATA")[0] == 354
    assert client.sock is not None
    block = LINE * 1000
    client.sock.sendall(b"From: s@far.test\r\nSubject: large\r\n\r\n")
    for _ in range(size // len(block)):
        client.sock.sendall(block)
    client.sock.sendall(b".\r\n")
    assert client.getreply()[0] == 250


def by_bdat(client: smtplib.SMTP, size: int) -> None:
    assert client.sock is not None
    head = b"From: s@far.test\r\nSubject: large\r\n\r\n"
    block = LINE * 12_000
    client.sock.sendall(b"BDAT %d\r\n" % len(head) + head)
    assert client.getreply()[0] == 250
    for _ in range(size // len(block)):
        client.sock.sendall(b"BDAT %d\r\n" % len(block) + block)
        assert client.getreply()[0] == 250
    assert client.docmd("BDAT", "0 LAST")[0] == 250


@pytest.mark.parametrize("way", [by_data, by_bdat])
def test_fifty_megabytes_cost_less_than_two(lone: Server, way: object) -> None:
    def send(size: int) -> None:
        with lone.smtp() as client:
            client.ehlo()
            assert client.mail("s@far.test", [f"SIZE={size}"])[0] == 250
            assert client.rcpt("alice@a.test")[0] == 250
            way(client, size)  # type: ignore[operator]

    # Threads, their arenas, buffers and the mailbox are there after some messages that go through a file.
    for _ in range(4):
        send(6_000_000)
    growth = []
    for _ in range(2):
        reset_peak(lone)
        before = field(lone, "VmRSS")
        send(LARGE)
        growth.append(field(lone, "VmHWM") - before)
    # What a message costs, it costs each time; a thread that begins its work just then, it does not.
    assert min(growth) < 2 * MIB, [f"{one / MIB:.2f} MiB" for one in growth]
    imap = lone.imap("alice")
    imap.select("INBOX", readonly=True)
    sizes = imap.fetch("*", "(RFC822.SIZE)")[1][0]
    assert int(sizes.split()[-1].rstrip(b")")) > LARGE * 0.99
    imap.logout()


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CROWD + 500:
        pytest.skip(f"this test may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CROWD + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
def test_two_thousand_who_say_nothing_stop_nobody(lone: Server) -> None:
    """Half-open: connected, and silent in the middle of a command or a handshake."""
    names = ("smtp", "imap", "imaps", "submissions", "http")
    beginnings = {"smtp": b"EHLO", "imap": b"a LOG", "imaps": b"\x16\x03\x01", "submissions": b"", "http": b"GET /he"}
    before = field(lone, "VmRSS")
    with contextlib.ExitStack() as stack:
        for number in range(CROWD):
            name = names[number % len(names)]
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", lone.ports[name]), timeout=20))
            connection.sendall(beginnings[name])
        with lone.smtp() as client:
            client.sendmail("s@far.test", "bob@a.test", b"From: s@far.test\r\nSubject: in the crowd\r\n\r\nHello.\r\n")
        imap = lone.imap("bob")
        imap.select("INBOX", readonly=True)
        assert imap.search(None, "SUBJECT", '"in the crowd"')[1] == [b"1"]
        imap.logout()
        with smtplib.SMTP_SSL("127.0.0.1", lone.ports["submissions"], timeout=20) as secure:
            secure.login("alice@a.test", PASSWORD)
        assert lone.run("health").returncode == 0
        grown = field(lone, "VmRSS") - before
        assert grown < CROWD * 100 * 1024, f"{grown / CROWD / 1024:.0f} KiB a connection"
    # When they are gone, so is what they counted for.
    with lone.smtp() as client:
        assert client.noop()[0] == 250
