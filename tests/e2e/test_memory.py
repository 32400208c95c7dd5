"""Memory and the many: a large message costs little of it, and thousands who say nothing stop nobody."""

import contextlib
import poplib
import resource
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from tests.support.huge import WORD, HugeMail, Reader
from tests.support.server import PASSWORD, Server

LARGE = 50_000_000
LINE = b"x" * 76 + b"\r\n"
CROWD = 2000
MIB = 1 << 20


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody else uses, so that its memory is this test's."""
    one = Server(tmp_path_factory.mktemp("lone"), users=("alice", "bob", "carol"), forked=False)
    one.configuration.write_text(one.configuration.read_text() + '[limits]\nmessage_size = "1100MiB"\n')
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


def by_pop3(server: Server, number: int) -> int:
    """Octets of a message, whose dots were never stuffed."""
    client = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=300)
    client.user("carol@a.test")
    client.pass_(PASSWORD)
    assert client.sock is not None
    client.sock.sendall(b"RETR %d\r\n" % number)
    size, last, block = 0, b"", client.file.readline()
    assert block.startswith(b"+OK"), block
    while not last.endswith(b"\r\n.\r\n"):
        block = client.file.read1(1 << 20)
        assert block
        size += len(block)
        last = (last + block)[-5:]
    client.quit()
    return size - 3


@pytest.mark.parametrize("size", [32 * MIB, pytest.param(1024 * MIB, marks=[pytest.mark.huge, pytest.mark.timeout(900)])])
def test_memory_does_not_grow_with_a_message(lone: Server, size: int) -> None:
    """In and out by each door, whole and in parts, decoded, described, searched and copied."""
    mail = HugeMail(size)
    client = Reader(lone.ports["imap"])
    client.run(f'LOGIN carol@a.test "{PASSWORD}"')
    client.append(HugeMail(2 * MIB))  # threads and buffers are there
    client.run("SELECT INBOX")
    client.run("SEARCH TEXT nothing")
    reset_peak(lone)
    before = field(lone, "VmRSS")
    client.append(mail)
    structure = client.run("UID FETCH * (BODYSTRUCTURE ENVELOPE PREVIEW RFC822.SIZE)")
    assert b'"base64" %d NIL' % mail.body in structure[0]
    assert client.literals("FETCH * BODY.PEEK[]") == [(mail.size, mail.checksum)]
    assert client.literals(f"FETCH * (BODY.PEEK[2] BODY.PEEK[2]<{size // 2}.5000>)")[0][0] == mail.body
    assert client.literals("FETCH * BINARY.PEEK[2]") == [(mail.decoded, crc32(b"ABC" * (mail.decoded // 3)))]
    assert client.literals(f"FETCH * BINARY.PEEK[2]<{mail.decoded - 30}.100>") == [(30, crc32(b"ABC" * 10))]
    assert client.run("FETCH * BINARY.SIZE[2]")[0].endswith(b"(BINARY.SIZE[2] %d)\r\n" % mail.decoded)
    client.run("COPY * Sent")
    assert client.run(f"SEARCH TEXT {WORD} LARGER {mail.size - 1}")[0].startswith(b"* SEARCH ")
    number = int(client.run("STATUS INBOX (MESSAGES)")[0].split()[-1].rstrip(b")"))
    assert by_pop3(lone, number) == mail.size
    with lone.smtp() as sender:
        sender.ehlo()
        sender.mail("s@far.test", [f"SIZE={mail.size}"])
        sender.rcpt("alice@a.test")
        by_bdat(sender, mail.size)
    grown = field(lone, "VmHWM") - before
    assert grown < 6 * MIB, f"{grown / MIB:.2f} MiB"
    client.run("STORE * +FLAGS (\\Deleted)")
    client.run("EXPUNGE")
    client.close()


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
