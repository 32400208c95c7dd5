"""IMAP as clients use it, and as nobody should."""

import socket
import zlib

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.support.server import PASSWORD, Server


def client(server: Server, account: str) -> IMAPClient:
    one = IMAPClient("127.0.0.1", server.ports["imap"], ssl=False, timeout=60)
    one.login(f"{account}@a.test", PASSWORD)
    return one


def test_a_part_is_what_the_structure_says(server: Server, account: str) -> None:
    one = client(server, account)
    one.select_folder("INBOX")
    text = (
        b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/x\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n"
    )
    one.append("INBOX", text)
    uid = one.search(["ALL"])[0]
    found = one.fetch([uid], ["BODY.PEEK[1]", "BODY.PEEK[2.MIME]", "BINARY.PEEK[2]", "BODYSTRUCTURE"])[uid]
    assert found[b"BODY[1]"] == b"hello"
    assert found[b"BODY[2.MIME]"] == b"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert found[b"BINARY[2]"] == b"hello"
    assert found[b"BODYSTRUCTURE"][0][1][6] == len(b"aGVsbG8=")
    one.logout()


@pytest.mark.parametrize("command", [("passwd", "--password-stdin"), ("disable",)])
def test_changes_end_live_sessions(server: Server, account: str, command: tuple[str, ...]) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(f'a LOGIN {account}@a.test "{PASSWORD}"\r\nb IDLE\r\n'.encode())
        assert b"a OK" in stream.readline()
        assert stream.readline().startswith(b"+")
        server.run("user", command[0], f"{account}@a.test", *command[1:], stdin="another password\n")
        assert stream.readline().startswith(b"* BYE")
        assert stream.readline() == b""
    again = IMAPClient("127.0.0.1", server.ports["imap"], ssl=False, timeout=60)
    with pytest.raises(LoginError):
        again.login(f"{account}@a.test", PASSWORD)


def test_compressed(server: Server, account: str) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(f'a LOGIN {account}@a.test "{PASSWORD}"\r\nb COMPRESS DEFLATE\r\n'.encode())
        assert b"a OK" in stream.readline()
        assert b"b OK" in stream.readline()
        packer, unpacker = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
        connection.sendall(packer.compress(b"c SELECT INBOX\r\nd NOOP\r\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        answer = b""
        while b"d OK" not in answer:
            answer += unpacker.decompress(connection.recv(65536))
        assert b"c OK [READ-WRITE]" in answer


def test_before_login_limits_hold(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(
            b"a LOGIN " + b"x" * 9000 + b"\r\nb LOGIN {99999999}\r\nc LOGIN {70000+}\r\n" + b"z" * 70000 + b"\r\nd NOOP\r\n"
        )
        answers = [stream.readline() for _ in range(4)]
        assert [answer[:5] for answer in answers] == [b"a BAD", b"b BAD", b"c BAD", b"d OK "]


def test_garbage_never_shows_a_stack(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        connection.sendall(b"\x00\xff(((((\r\n{5}\r\n" * 30)
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
        assert b"Traceback" not in answer
        assert b"BYE" in answer
