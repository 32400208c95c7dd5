"""Anything that is sent: an answer each, never a word of the server's insides, never another's mail, and no message lost."""

import os
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import PASSWORD, Server

TOKEN = b"s3cr3t-t0k3n"
EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "300"))
WORDS = st.sampled_from(
    [b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP", b"DELE", b"RSET", b"NOOP", b"CAPA", b"USER", b"PASS", b"AUTH", b"AUTH PLAIN",
     b"AUTH SCRAM-SHA-256", b"AUTH OAUTHBEARER", b"APOP", b"UTF8", b"LANG", b"XTND"]
)  # fmt: skip
ARGUMENTS = st.sampled_from(
    [b"1", b"2", b"3", b"0", b"-1", b"4294967296", b"1 1", b"1 0", b"x", b"", b"*", b"AA==", b"other@a.test"]
)
LINE = st.one_of(st.tuples(WORDS, ARGUMENTS).map(b" ".join), st.binary(max_size=30))


def hold(server: Server, mine: str, other: str, examples: int) -> None:
    connection = server.imap(other)
    connection.append("INBOX", None, None, TOKEN)
    connection.logout()
    connection = server.imap(mine)
    for number in range(2):
        connection.append("INBOX", None, None, b"Subject: %d\r\n\r\n.\r\n" % number)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(LINE, max_size=8), st.booleans(), st.integers(1, 50))
    def commands(lines: list[bytes], logged_in: bool, cut: int) -> None:
        with socket.create_connection(("127.0.0.1", server.ports["pop3"]), timeout=20) as one:
            login = f"USER {mine}@a.test\r\nPASS {PASSWORD}\r\n".encode() if logged_in else b""
            stream = login + b"".join(line + b"\r\n" for line in lines) + b"RSET\r\n" + b"*\r\n" * 12
            one.sendall(stream[:cut])
            try:
                one.sendall(stream[cut:] + b"QUIT\r\n")
                one.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            heard = b""
            try:
                while data := one.recv(65536):
                    heard += data
            except ConnectionError:
                pass
        assert heard.startswith(b"+OK")
        for never in (TOKEN, b"SYS/", b"Traceback", b".py"):
            assert never not in heard, heard

    commands()
    connection.select("INBOX")
    assert connection.search(None, "ALL")[1] == [b"1 2"]
    connection.logout()


def both(server: Server, account: str) -> tuple[str, str]:
    other = f"user{int(account.removeprefix('user')) + 1}"
    server.used_accounts += 1  # type: ignore[attr-defined]
    return account, other


def test_strangers(server: Server, account: str) -> None:
    hold(server, *both(server, account), 60)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_strangers_for_long(server: Server, account: str) -> None:
    hold(server, *both(server, account), EXAMPLES)
