"""SMTP as it is attacked and as it is used."""

import smtplib
import socket
import ssl

import pytest

from tests.support.server import PASSWORD, Server


def converse(server: Server, port: str, data: bytes, *, cut: int = 0) -> bytes:
    """Send raw bytes, all at once or cut into pieces; everything that came back until the server closed."""
    with socket.create_connection(("127.0.0.1", server.ports[port]), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = [data[place : place + cut] for place in range(0, len(data), cut)] if cut else [data]
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


def messages(server: Server, account: str) -> list[bytes]:
    connection = server.imap(account)
    connection.select("INBOX", readonly=True)
    _, data = connection.uid("FETCH", "1:*", "(BODY.PEEK[TEXT])")
    connection.logout()
    return [piece[1] for piece in data if isinstance(piece, tuple)]


@pytest.mark.parametrize("cut", [0, 1, 3, 7])
def test_a_whole_transaction_in_any_pieces(server: Server, account: str, cut: int) -> None:
    answer = converse(
        server,
        "smtp",
        f"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<{account}@a.test>\r\nDATA\r\n".encode()
        + b"Subject: a\r\n\r\n..\r\nline\r\n..more\r\n.\r\nNOOP\r\nQUIT\r\n",
        cut=cut,
    )
    codes = [line[:3] for line in answer.split(b"\r\n") if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"221"]
    assert messages(server, account) == [b".\r\nline\r\n.more\r\n"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n"])
def test_smuggling_is_refused(server: Server, account: str, end: bytes) -> None:
    inner = f"MAIL FROM:<evil@far.test>\r\nRCPT TO:<{account}@a.test>\r\nDATA\r\nsmuggled\r\n.\r\n".encode()
    answer = converse(
        server,
        "smtp",
        f"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<{account}@a.test>\r\nDATA\r\nfirst".encode() + end + inner + b"QUIT\r\n",
    )
    assert b"550 5.6.11" in answer
    assert answer.count(b"queued as") == 0
    assert messages(server, account) == []


def test_relaying_needs_a_login(server: Server) -> None:
    with server.smtp() as client:
        client.ehlo()
        client.mail("alice@a.test")
        for address in ("x@far.test", "a.test!x@far.test", "x%far.test@elsewhere.test"):
            assert client.rcpt(address)[0] in (550, 501), address
    with smtplib.SMTP("127.0.0.1", server.ports["submission"]) as client:
        client.ehlo()
        assert client.mail("alice@a.test")[0] == 530


def test_bytes_before_the_handshake_are_nobodys_word(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=20) as connection:
        connection.recv(1000)
        connection.sendall(b"EHLO x\r\n")
        connection.recv(1000)
        connection.sendall(b"STARTTLS\r\nMAIL FROM:<evil@far.test>\r\n")
        answer = b""
        try:
            while block := connection.recv(1000):
                answer += block
        except ConnectionResetError:
            pass
        assert b"2.1.0" not in answer


def test_starttls_and_implicit_tls(server: Server) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", server.ports["submission"]) as client:
        client.starttls(context=context)
        client.ehlo()
        assert not client.has_extn("starttls")
        client.login("alice@a.test", PASSWORD)
    with smtplib.SMTP_SSL("127.0.0.1", server.ports["submissions"], context=context) as client:
        client.ehlo()
        assert client.has_extn("auth")
        assert not client.has_extn("starttls")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("alice@a.test", "wrong")
        client.login("alice@a.test", PASSWORD)


def test_only_in_ones_own_name(server: Server, account: str) -> None:
    own = f"{account}@a.test"
    with server.submission(account) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("alice@a.test", [own], b"From: x\r\n\r\n")
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail(own, [own], b"From: alice@a.test\r\n\r\nx\r\n")
        client.sendmail(f"{account}+tag@a.test", [own], f"From: {account}+tag@a.test\r\n\r\nline\nbare\r\n".encode())
    assert messages(server, account) == [b"line\r\nbare\r\n"]


def test_bdat_in_chunks(server: Server, account: str) -> None:
    answer = converse(
        server,
        "smtp",
        f"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<{account}@a.test>\r\n".encode()
        + b"BDAT 14\r\nSubject: a\r\n\r\nBDAT 5\r\n.\r\n.\r"
        + b"BDAT 1 LAST\r\n\nQUIT\r\n",
        cut=3,
    )
    assert b"queued as" in answer
    assert messages(server, account) == [b".\r\n.\r\n"]


def test_a_large_message_streams(server: Server, account: str) -> None:
    body = (b"y" * 76 + b"\r\n") * 130_000
    with server.smtp() as client:
        client.sendmail("s@far.test", [f"{account}@a.test"], b"Subject: large\r\n\r\n" + body)
    assert messages(server, account) == [body]


def test_too_large_is_refused_and_the_connection_kept(server: Server, account: str) -> None:
    with server.smtp() as client:
        client.ehlo()
        client.mail("s@far.test")
        client.rcpt(f"{account}@a.test")
        code, words = client.data(b"x" * 70 + (b"z" * 998 + b"\r\n") * 53_000)
        assert (code, words[:5]) == (552, b"5.3.4")
        assert client.noop()[0] == 250


def test_garbage_never_shows_a_stack(server: Server) -> None:
    answer = converse(server, "smtp", b"\x00\xff\xfe\r\n" * 20)
    assert b"Traceback" not in answer
    assert b"421" in answer
