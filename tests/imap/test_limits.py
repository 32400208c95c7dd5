"""What an account and a mailbox can hold, dates at the ends of time, and clients that ask and do not read."""

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


@pytest.fixture
def client(server: Server, account: str) -> Client:
    one = Client(server.ports["imap"])
    one.login(f"{account}@a.test", PASSWORD)
    return one


def test_a_quota_is_shown_and_kept(server: Server, account: str, client: Client) -> None:
    server.run("user", "quota", f"{account}@a.test", "100KiB")
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        assert one.ok('GETQUOTA ""')[0].items["STORAGE"] == [0, 100]
        one.append("INBOX", b"x" * 60_000)
        one.ok("SELECT INBOX")
        assert one.ok("GETQUOTAROOT INBOX")[1].items["STORAGE"] == [59, 100]
        assert one.run(b"APPEND INBOX {60000+}\r\n" + b"x" * 60_000).code == "OVERQUOTA"
        assert one.run("COPY 1 Archive").code == "OVERQUOTA"
        # What only changes its place is no more than before.
        one.ok("MOVE 1 Archive")
        one.ok("SELECT Archive")
        one.ok("STORE 1 +FLAGS (\\Deleted)")
        one.ok("EXPUNGE")
        assert one.ok('GETQUOTA ""')[0].items["STORAGE"] == [0, 100]
        one.append("INBOX", b"x" * 60_000)


def test_26_keywords_are_all(client: Client) -> None:
    client.ok("SELECT INBOX")
    client.append("INBOX", b"x")
    names = " ".join(f"k{number}" for number in range(26))
    told = client.ok(f"STORE 1 +FLAGS ({names})")
    permanent = next(response for response in told if response.code == "PERMANENTFLAGS")
    assert "k25" in permanent.data
    assert "\\*" not in permanent.data
    assert client.run("STORE 1 +FLAGS (onemore)").code == "LIMIT"
    assert client.run("APPEND INBOX (onemore) {3+}\r\nabc").code == "LIMIT"
    client.ok("STORE 1 +FLAGS (K3 \\Seen)")
    # A letter that nobody uses is given out again.
    client.ok("STORE 1 -FLAGS (k7)")
    told = client.ok("STORE 1 +FLAGS (onemore)")
    assert "onemore" in client.fetch("1 FLAGS", uid=False)[1].items["FLAGS"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("29-Feb-2024 23:59:59 +0000", b"29-Feb-2024 23:59:59 +0000"),
        (" 1-Jan-1970 00:00:00 +0000", b" 1-Jan-1970 00:00:00 +0000"),
        ("01-Jan-1900 00:00:00 +0000", b" 1-Jan-1900 00:00:00 +0000"),
        ("31-Dec-9998 23:59:59 +1400", b"31-Dec-9998 09:59:59 +0000"),
        ("01-Jan-2024 00:00:60 -0330", b" 1-Jan-2024 03:30:59 +0000"),
    ],
)
def test_dates(client: Client, given: str, kept: bytes) -> None:
    client.ok("SELECT INBOX")
    client.append("INBOX", b"x", f'"{given}"')
    assert client.fetch("1 INTERNALDATE")[1].items["INTERNALDATE"] == kept
    client.ok("COPY 1 Archive")
    client.ok("SELECT Archive")
    assert client.fetch("1 INTERNALDATE")[1].items["INTERNALDATE"] == kept


@pytest.mark.parametrize("given", ["00-Jan-2024 00:00:00 +0000", "01-Jan-0000 00:00:00 +0000", "01-Foo-2024 00:00:00 +0000",
                                   "01-Jan-2024 24:00:00 +0000", "01-Jan-2024 00:00:00 +2400", "1-1-2024"])  # fmt: skip
def test_dates_that_are_none(client: Client, given: str) -> None:
    assert client.run(f'APPEND INBOX "{given}" {{3+}}\r\nabc').kind == "BAD"


def resident(server: Server) -> int:
    assert server.process is not None
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def test_a_client_that_asks_and_does_not_read_costs_no_memory_and_stops_nobody(
    server: Server, client: Client, account: str
) -> None:
    client.append("INBOX", b"x" * 900_000)
    client.append("INBOX", b"y" * 3_000_000)
    client.ok("SELECT INBOX")
    with Client(server.ports["imap"]) as deaf, Client(server.ports["imap"]) as other:
        deaf.login(f"{account}@a.test", PASSWORD)
        other.login(f"{account}@a.test", PASSWORD)
        deaf.ok("SELECT INBOX")
        before = resident(server)

        def ask() -> None:
            with contextlib.suppress(OSError):  # the connection is closed before all of it is taken
                deaf.send(b"x FETCH 1:2 BODY.PEEK[]\r\n" * 20_000 + b"end NOOP\r\n")

        sent = threading.Thread(target=ask)
        sent.start()
        for _ in range(20):
            other.ok("NOOP")
            client.fetch("1 BODY.PEEK[]<0.1000>")
        assert resident(server) - before < 20_000_000
        # When it reads at last, it gets what it asked for, in order.
        for _ in range(5):
            assert [deaf.next().kind for _ in range(3)] == ["FETCH", "FETCH", "OK"]
        deaf.socket.shutdown(socket.SHUT_RDWR)
        sent.join(10)
        assert not sent.is_alive()


def test_names_in_utf8_are_taken_from_clients_that_have_not_asked(client: Client) -> None:
    client.ok("CREATE Grüße".encode())
    assert [response.value for response in client.ok('LIST "" Gr*')] == [b"Gr&APwA3w-e"]
    # Composed or not, it is the same name.
    assert client.run("CREATE Gru\u0308\u00dfe".encode()).code == "ALREADYEXISTS"
    client.ok("DELETE Gr&APwA3w-e")


def test_an_account_over_quota_is_told_when_it_selects(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    with Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        one.append("INBOX", b"Subject: x\r\n\r\n" + b"x" * 5000)
        assert all(response.code != "OVERQUOTA" for response in one.ok("SELECT INBOX"))
    server.run("user", "quota", address, "2KiB")
    with Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        assert [response.kind for response in one.ok("SELECT INBOX") if response.code == "OVERQUOTA"] == ["NO"]
        assert one.ok('GETQUOTA ""')[0].items == {"STORAGE": [5, 2], "MESSAGE": [1, 1000000]}
        assert one.run("COPY 1 Archive").code == "OVERQUOTA"
