"""One heavy client never stalls another: told by the order in which answers come, not by time."""

import threading

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

MESSAGES = 3000
BODY = b"".join(b"Line %d of a text in which nobody finds what he looks for.\r\n" % number for number in range(60))


@pytest.fixture(scope="module")
def heavy(server: Server) -> str:
    """An account with a mailbox that another program filled."""
    number = getattr(server, "used_accounts", 0)
    server.used_accounts = number + 1  # type: ignore[attr-defined]
    name = f"user{number}"
    with Client(server.ports["imap"]) as one:
        one.login(f"{name}@a.test", PASSWORD)
        folder = server.data / "mail" / "a.test" / name / "Maildir" / "cur"
        for number in range(MESSAGES):
            text = b"Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\n" % (number, number) + BODY
            (folder / f"17{number:08}.x.y:2,").write_bytes(text)
        one.ok("SELECT INBOX")
    return name


@pytest.mark.parametrize(
    ("command", "least"),
    [
        ("FETCH 1:* (ENVELOPE BODYSTRUCTURE)", 5),
        ("FETCH 1:* BODY.PEEK[]", 5),
        ("UID SEARCH BODY zeppelin", 2),
        ("STORE 1:* +FLAGS.SILENT (\\Flagged)", 1),
        ("COPY 1:* Archive", 1),
    ],
)
def test_others_are_answered_meanwhile(server: Server, account: str, heavy: str, command: str, least: int) -> None:
    with Client(server.ports["imap"], seconds=100) as busy, Client(server.ports["imap"], seconds=100) as other:
        busy.login(f"{heavy}@a.test", PASSWORD)
        busy.ok("SELECT INBOX")
        other.login(f"{account}@a.test", PASSWORD)
        other.ok("SELECT INBOX")
        ended = threading.Event()

        def read() -> None:
            found = b""
            while b"busy OK" not in found:
                busy._more()
                found, busy.buffer = found[-50:] + busy.buffer, b""
            ended.set()

        busy.send(b"busy " + command.encode() + b"\r\n")
        reader = threading.Thread(target=read)
        reader.start()
        answered = 0
        while not ended.is_set():
            other.ok("NOOP")
            answered += not ended.is_set()
        reader.join()
        assert answered >= least
