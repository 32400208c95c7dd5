"""What is read from disk to answer: the kernel counts it."""

from pathlib import Path

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

BIG = 3_000_000
MAIL = (
    b"Subject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
    b"Content-Type: application/x\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * (BIG // 4) + b"\r\n--b--\r\n"
)


class Counter:
    """Octets that the server's process has read."""

    def __init__(self, server: Server) -> None:
        assert server.process is not None
        self.path = Path(f"/proc/{server.process.pid}/io")
        self.last = self.now()

    def now(self) -> int:
        return int(self.path.read_text().split("rchar: ")[1].split()[0])

    def since(self) -> int:
        before, self.last = self.last, self.now()
        return self.last - before


def test_a_part_is_read_alone_and_a_structure_once(server: Server, account: str) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        for _ in range(3):
            one.append("INBOX", MAIL)
        one.ok("NOOP")
        counter = Counter(server)
        one.fetch("1:3 (ENVELOPE RFC822.SIZE BODY.PEEK[HEADER])")
        assert counter.since() < 500_000
        # The first look at the structure reads each message once; the tree of its parts is kept with it.
        one.fetch("1:3 BODYSTRUCTURE")
        assert BIG * 3 <= counter.since() < BIG * 4
        for item in (
            "BODYSTRUCTURE",
            "BODY.PEEK[1]",
            "(BODY.PEEK[1] BODY.PEEK[2.MIME] BODY.PEEK[TEXT]<0.100>)",
            "BODY.PEEK[2]<5.50>",
        ):
            found = one.fetch(f"1:3 {item}")
            assert len(found) == 3
            assert counter.since() < 500_000, item
        assert one.fetch("2 BINARY.PEEK[2]<0.6>")[2].items["BINARY[2]<0>"] == b"ABCABC"
        assert counter.since() < BIG * 2


def test_what_was_computed_is_there_after_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path, users=("alice",))
    server.provision()
    server.start()
    try:
        with Client(server.ports["imap"]) as one:
            one.login("alice@a.test", PASSWORD)
            one.ok("SELECT INBOX")
            one.append("INBOX", MAIL)
            told = one.fetch("1 (ENVELOPE BODYSTRUCTURE)")[1].items
            one.ok("LOGOUT")
        server.stop()
        server.start()
        with Client(server.ports["imap"]) as one:
            one.login("alice@a.test", PASSWORD)
            one.ok("SELECT INBOX")
            counter = Counter(server)
            assert one.fetch("1 (ENVELOPE BODYSTRUCTURE)")[1].items == told
            assert one.fetch("1 BODY.PEEK[1]")[1].items["BODY[1]"] == b"text"
            assert counter.since() < 500_000
    finally:
        server.stop()
