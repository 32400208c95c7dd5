"""A URL with a token is a right to fetch one message, and no more than its owner meant."""

import re
import socket
from urllib.parse import quote

import pytest

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.urlauth import Access, parse_authorised
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

MAIL = b"Subject: shown\r\n\r\n" + b"body\r\n" * 400_000


class Plain:
    """One connection without a reader of responses."""

    def __init__(self, server: Server, user: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=60)
        self.stream = self.connection.makefile("rb")
        self.stream.readline()
        self.run(f'LOGIN {user}@a.test "{PASSWORD}"')

    def run(self, command: str) -> bytes:
        """All that is answered."""
        self.connection.sendall(f"t {command}\r\n".encode())
        lines = [self.stream.readline()]
        while not lines[-1].startswith(b"t "):
            lines.append(self.stream.readline())
        return b"".join(lines)

    def authorise(self, url: str) -> str:
        answer = self.run(f'GENURLAUTH "{url}" INTERNAL').decode()
        return re.findall(r'GENURLAUTH "([^"]+)"', answer)[0]

    def fetch(self, url: str) -> bytes | None:
        answer = self.run(f'URLFETCH "{url}"')
        assert answer.endswith(b"t OK URLFETCH done\r\n"), answer[-200:]
        rest = answer.removeprefix(f'* URLFETCH "{url}" '.encode()).removesuffix(b"\r\nt OK URLFETCH done\r\n")
        if rest == b"NIL":
            return None
        if rest.startswith(b'"'):
            return rest[1:-1]
        size, _, data = rest.partition(b"\r\n")
        assert len(data) == int(size[1:-1])
        return data


def test_what_holds_and_what_does_not(server: Server, account: str) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        uid = one.append("INBOX", MAIL)
    owner, friend, other = Plain(server, account), Plain(server, "alice"), Plain(server, "bob")
    base = f"imap://{quote(account + '@a.test', safe='')}@mail.a.test/INBOX/;UID={uid}"
    header = owner.authorise(f"{base}/;SECTION=HEADER;URLAUTH=user+alice%40a.test")
    assert friend.fetch(header) == b"Subject: shown\r\n\r\n"
    assert other.fetch(header) is None
    assert owner.fetch(header) is None  # not to the owner by this way either
    whole = owner.authorise(f"{base};URLAUTH=authuser")
    assert friend.fetch(whole) == other.fetch(whole) == MAIL
    assert other.fetch(owner.authorise(f"{base}/;PARTIAL=9.5;URLAUTH=anonymous")) == b"shown"
    chosen = owner.authorise(f"{base}/;SECTION=HEADER.FIELDS%20(Subject)/;PARTIAL=0.9;URLAUTH=authuser")
    assert other.fetch(chosen) == b"Subject: "
    # Nothing in it can be changed.
    rump, _, token = whole.rpartition(":")
    for forged in (
        f"{rump}:{token[:-1]}{'0' if token[-1] != '0' else '1'}",
        whole.replace(f";UID={uid};", f";UID={uid + 1};"),
        whole.replace("INBOX", "Sent"),
        header.replace("user+alice", "user+bob"),
        header.replace("user+alice%40a.test", "authuser"),
        header.replace("HEADER", "TEXT"),
        rump,
        rump.rpartition(":")[0],
        f"{rump}:",
    ):
        assert other.fetch(forged) is None, forged
    # Not after its time, and not by somebody who would have to be a submission server.
    assert other.fetch(owner.authorise(f"{base};EXPIRE=2020-01-01T00:00:00Z;URLAUTH=authuser")) is None
    assert other.fetch(owner.authorise(f"{base};EXPIRE=2120-01-01T00:00:00+01:00;URLAUTH=authuser")) == MAIL
    assert friend.fetch(owner.authorise(f"{base};URLAUTH=submit+alice%40a.test")) is None
    assert other.fetch(owner.authorise(f"{base}9;URLAUTH=authuser")) is None
    # A new key ends them all.
    sent = owner.authorise(f"{base.replace('INBOX', 'Sent')};URLAUTH=authuser")
    owner.run("RESETKEY INBOX")
    assert other.fetch(whole) is None
    again = owner.authorise(f"{base};URLAUTH=authuser")
    assert again != whole
    assert other.fetch(again) == MAIL
    owner.run("RESETKEY")
    assert other.fetch(again) is None
    assert owner.authorise(f"{base.replace('INBOX', 'Sent')};URLAUTH=authuser") != sent


def test_a_switched_off_account_shows_nothing(server: Server, account: str) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        uid = one.append("INBOX", b"Subject: x\r\n\r\n")
    owner, other = Plain(server, account), Plain(server, "bob")
    url = owner.authorise(f"imap://{quote(account + '@a.test', safe='')}@mail.a.test/INBOX/;UID={uid};URLAUTH=authuser")
    assert other.fetch(url) == b"Subject: x\r\n\r\n"
    server.run("user", "disable", f"{account}@a.test")
    assert other.fetch(url) is None


BAD = (
    "", "imap://u@h/x/;UID=1", "/x/;UID=1;URLAUTH=authuser", "imap://h/x/;UID=1;URLAUTH=authuser", "imap://u@h/;UID=1;URLAUTH=authuser",
    "imap://u@h/x/;UID=1;URLAUTH=user", "imap://u@h/x/;UID=1;URLAUTH=user+", "imap://u@h/x/;UID=1;URLAUTH=nobody",
    "imap://u@h/x/;UID=1;EXPIRE=2020-01-01T00:00:00;URLAUTH=authuser", "imap://u@h/x/;UID=1;EXPIRE=soon;URLAUTH=authuser",
    "imap://u@h/x/;UID=1;URLAUTH=authuser:other:" + "0" * 32, "imap://u@h/x/;UID=1;URLAUTH=authuser:internal:00",
    "imap://u@h/x/;UID=1;URLAUTH=user+a;URLAUTH=authuser",
)  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_such_url(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_authorised(text)


def test_what_is_one() -> None:
    url = parse_authorised("imap://a%40b@h/x;UIDVALIDITY=3/;UID=1/;SECTION=1;EXPIRE=1970-01-01T00:01:00Z;URLAUTH=submit+c%40d")
    assert (url.owner, url.mailbox, url.access, url.user, url.expires) == ("a@b", "x", Access.SUBMIT, "c@d", 60.0)
    assert url.token is None
