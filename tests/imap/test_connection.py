"""What a connection bears: any split, any order, limits before and after login, compression, TLS, clients that leave."""

import base64
import socket
import ssl
import threading
import zlib

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


@pytest.fixture
def client(server: Server, account: str) -> Client:
    one = Client(server.ports["imap"])
    one.login(f"{account}@a.test", PASSWORD)
    return one


def fresh(server: Server) -> Client:
    return Client(server.ports["imap"])


# Before login ---------------------------------------------------------------------------------------------------------


def test_a_line_of_16_kb_is_the_limit_before_login(server: Server, account: str) -> None:
    with fresh(server) as one:
        fits = b"x" * (16384 - len(b"t1 LOGIN  y"))
        assert one.run(b"LOGIN " + fits + b" y").code == "AUTHENTICATIONFAILED"
        assert one.run(b"LOGIN " + fits + b" yy").kind == "BAD"
        one.login(f"{account}@a.test", PASSWORD)
        assert one.run(b"STATUS " + b"x" * 60000 + b" (MESSAGES)").code == "NONEXISTENT"
        assert one.run(b"STATUS " + b"x" * 70000 + b" (MESSAGES)").kind == "BAD"
        one.ok("NOOP")


def test_literals_of_64_kb_in_all_are_the_limit_before_login(server: Server, account: str) -> None:
    with fresh(server) as one:
        half, rest = b"x" * 32768, b"y" * 32769
        assert one.run(b"LOGIN {32768+}\r\n" + half + b" {32768+}\r\n" + half).code == "AUTHENTICATIONFAILED"
        assert one.run(b"LOGIN {32768+}\r\n" + half + b" {32769+}\r\n" + rest).kind == "BAD"
        # A synchronising one is refused before it is sent.
        assert one.run(b"LOGIN {65537}").kind == "BAD"
        one.login(f"{account}@a.test", PASSWORD)
        assert one.run(b"STATUS {900000+}\r\n" + b"x" * 900_000 + b" (MESSAGES)").code == "NONEXISTENT"
        assert one.run(b"STATUS {1100000+}\r\n" + b"x" * 1_100_000 + b" (MESSAGES)").code == "TOOBIG"
        one.ok("NOOP")


def test_32_nested_parentheses_are_the_limit(server: Server, account: str) -> None:
    with fresh(server) as one:
        nested = {depth: b"SEARCH " + b"(" * depth + b"ALL" + b")" * depth for depth in (32, 33, 4000)}
        assert "not possible now" in one.run(nested[32]).text
        for depth in (33, 4000):
            assert "nested" in one.run(nested[depth]).text
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        one.ok(nested[32])
        assert one.run(nested[33]).kind == "BAD"


def test_empty_literals_without_end_are_no_way_to_memory(server: Server) -> None:
    with fresh(server) as one:
        one.send(b"a X" + b" {0+}\r\n" * 100_000 + b"\r\nb NOOP\r\n")
        assert one.next().tag == "a"
        assert one.next().tag == "b"


@pytest.mark.parametrize("line", [b"x" * 9000, b"x" * 200_000], ids=["a little", "much"])
def test_a_line_too_long_does_not_let_its_literal_be_taken_for_commands(server: Server, line: bytes) -> None:
    inside = b"b LOGOUT\r\n" * 5
    with fresh(server) as one:
        one.send(b"a LOGIN " + line + b" {%d+}\r\n" % len(inside) + inside + b"\r\nc NOOP\r\n")
        assert one.next().tag == "a"
        assert one.next().tag == "c"


def test_bad_commands_end_a_connection_but_not_that_of_a_client_that_works(server: Server, account: str) -> None:
    with fresh(server) as one:
        one.send(b"x FOO\r\n" * 30)
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                last = one.next()
        assert last.kind == "BYE"
    with fresh(server) as one:
        one.login(f"{account}@a.test", PASSWORD)
        for _ in range(60):
            assert one.run("XSTATS").kind == "BAD"
            one.ok("NOOP")


def test_garbage_gets_bad_and_never_a_stack(server: Server) -> None:
    for garbage in (
        b"\x00\xff\xfe" * 100, b"(((((", b"a LOGIN {-1}", b"a LOGIN {99999999999999999999999+}", b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nHost: x\r\n", b"a SELECT \xc3\x28", b'a LOGIN "x', b"a\x00b NOOP", b"* OK", b"+", b"a UID",
        b"a \xe2\x80\xa8", b"a APPEND INBOX {3+}\r\nabc", b"{3+}\r\nabc", b"a NOOP {3+}\r\nabc",
    ):  # fmt: skip
        with fresh(server) as one:
            one.send(garbage + b"\r\nz LOGOUT\r\n")
            answers = []
            with pytest.raises((EOFError, ConnectionError)):
                while True:
                    answers.append(one.next())
            assert all(b"Traceback" not in answer.text.encode() for answer in answers)
            assert answers[0].kind in ("BAD", "NO"), garbage
            assert answers[-1].tag == "z", garbage


# Literals -------------------------------------------------------------------------------------------------------------


def test_append_refused_by_its_size_keeps_the_stream(client: Client) -> None:
    limit = next(word for word in client.ok("CAPABILITY")[0].value if str(word).startswith("APPENDLIMIT="))  # type: ignore[union-attr]
    size = int(str(limit).partition("=")[2])
    assert client.run(f"APPEND INBOX {{{size + 1}}}").code == "TOOBIG"
    tag = client.tag()
    client.send(f"{tag} APPEND INBOX {{{size + 1}+}}\r\n".encode())
    left = size + 1
    while left:
        block = b"y NOOP\r\n" * 8192
        client.send(block[:left])
        left -= len(block[:left])
    client.send(b"\r\n")
    assert client.answer(tag).code == "TOOBIG"
    client.ok("NOOP")
    assert client.ok("STATUS INBOX (MESSAGES)")[0].items == {"MESSAGES": 0}


def test_multiappend_is_all_or_none(client: Client) -> None:
    ten = b" {10+}\r\nSubject: x"
    assert client.run(b"APPEND INBOX" + ten * 3).kind == "OK"
    assert client.run(b"APPEND INBOX" + ten * 2 + b" {0+}\r\n").kind == "NO"
    assert client.run(b"APPEND INBOX" + ten * 2 + b" {999999999}").code == "TOOBIG"
    assert client.run(b"APPEND INBOX" + ten * 2 + b" nonsense").kind == "BAD"
    assert client.run(b"APPEND INBOX" + ten * 101).code == "LIMIT"
    # A line too long after a message: what was streamed is forgotten, and the next APPEND stands for itself.
    assert client.run(b"APPEND INBOX" + ten + b" " + b"x" * 70000).kind == "BAD"
    assert client.run(b"APPEND INBOX" + ten).kind == "OK"
    assert client.ok("STATUS INBOX (MESSAGES)")[0].items == {"MESSAGES": 4}


def test_append_from_a_client_that_sends_octet_by_octet(client: Client) -> None:
    data = b"Subject: slowly\r\n\r\nbody\r\n"
    client.ok("SELECT INBOX")
    tag = client.tag()
    for octet in f"{tag} APPEND INBOX (\\Seen) {{{len(data)}+}}\r\n".encode() + data + b"\r\n":
        client.send(bytes([octet]))
    assert client.answer(tag).code == "APPENDUID"
    assert client.fetch("1 BODY.PEEK[]")[1].items["BODY[]"] == data


def test_a_client_that_leaves_in_the_middle_of_a_literal_leaves_nothing(server: Server, account: str) -> None:
    for size in (1000, 5_000_000):
        with fresh(server) as one:
            one.login(f"{account}@a.test", PASSWORD)
            one.send(f"a APPEND INBOX {{{size}+}}\r\n".encode() + b"x" * (size // 2))
    with fresh(server) as one:
        one.login(f"{account}@a.test", PASSWORD)
        assert one.ok("STATUS INBOX (MESSAGES)")[0].items == {"MESSAGES": 0}
    temporary = server.data / "mail" / "a.test" / account / "Maildir" / "tmp"
    assert list(temporary.iterdir()) == []


def test_nul_keeps_its_place(client: Client) -> None:
    """A literal can't carry it (RFC 9051 4.3.1): 0x80 stands for it, so that sizes are true; BINARY gives it as it is."""
    data = b"Subject: nul\r\n\r\na\0b\0\0c\r\n"
    client.ok("SELECT INBOX")
    client.append("INBOX", data)
    plain = client.run(b"APPEND INBOX {%d+}\r\n" % len(data) + data)
    assert plain.code == "APPENDUID"
    for uid in (1, 2):
        found = client.fetch(f"{uid} (RFC822.SIZE BODY.PEEK[] BODY.PEEK[TEXT]<1.3> BINARY.PEEK[] BINARY.PEEK[1])")[uid].items
        assert found["RFC822.SIZE"] == len(data)
        assert found["BODY[]"] == data.replace(b"\0", b"\x80")
        assert found["BODY[TEXT]<1>"] == b"\x80b\x80"
        assert found["BINARY[]"] == data
        assert found["BINARY[1]"] == b"a\0b\0\0c\r\n"


def test_the_same_by_octets_and_in_one_packet(server: Server, account: str) -> None:
    commands = [
        f'LOGIN {{{len(account) + 7}+}}\r\n{account}@a.test "{PASSWORD}"', "ENABLE CONDSTORE", "LIST \"\" *", "SELECT INBOX",
        "NOOP", "FETCH 1:* FLAGS", "UID SEARCH ALL", "IDLE\r\nDONE", "STATUS Sent (MESSAGES UNSEEN)", "CLOSE", "LOGOUT",
    ]  # fmt: skip
    stream = b"".join(f"c{number} {command}\r\n".encode() for number, command in enumerate(commands))
    heard: list[bytes] = []
    for step in (len(stream), 1, 7):
        with fresh(server) as one:
            for place in range(0, len(stream), step):
                one.send(stream[place : place + step])
            answer = b""
            with pytest.raises((EOFError, ConnectionError)):
                while True:
                    answer += one.raw()
            heard.append(answer)
    assert heard[0].count(b" OK ") >= len(commands)
    assert heard[0] == heard[1] == heard[2]


# Compression ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH])
@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_compressed_commands_however_flushed_and_split(client: Client, flush: int, step: int) -> None:
    client.compress()
    assert client._pack is not None
    body = b"Subject: x\r\n\r\n" + b"compressible " * 4000 + b"\r\n"
    stream = b"a SELECT INBOX\r\nb APPEND INBOX {%d+}\r\n" % len(body) + body + b"\r\nc FETCH 1 BODY.PEEK[]\r\nd NOOP\r\n"
    packed = client._pack.compress(stream) + client._pack.flush(flush)
    for place in range(0, len(packed), step):
        client.socket.sendall(packed[place : place + step])
    assert client.answer("a").kind == "OK"
    assert client.answer("b").kind == "OK"
    client.answer("c")
    assert client.heard[0].items["BODY[]"] == body
    # Every answer is flushed: nothing waits for the next one.
    assert client.answer("d").kind == "OK"


@pytest.mark.parametrize("octets", [65536, 65537, 131_072, 200_000, 1_000_000])
def test_input_that_inflates_to_more_than_one_piece_is_read_to_its_end(client: Client, octets: int) -> None:
    """All input may be taken while zlib still holds output."""
    client.compress()
    filler = b"x NOOP\r\n"
    stream = filler * (octets // len(filler)) + b"last NOOP\r\n"
    client.send(stream)
    while client.next().tag != "last":
        pass


def test_commands_that_zlib_holds_back_when_it_has_taken_all_input_are_answered(client: Client) -> None:
    """A split after which a first piece is full, no input is left, and whole commands wait in zlib."""
    line = b"x NOOP\r\n"
    for lines in range(65536 // len(line) + 1, 65536 // len(line) + 40):
        pack = zlib.compressobj(wbits=-15)
        packed = pack.compress(line * lines) + pack.flush(zlib.Z_SYNC_FLUSH)
        for cut in range(len(packed) - 8, len(packed)):
            inflate = zlib.decompressobj(-15)
            first = inflate.decompress(packed[:cut], 65536)
            if len(first) == 65536 and not inflate.unconsumed_tail and inflate.decompress(b"").endswith(line):
                break
        else:
            continue
        break
    else:
        pytest.fail("no such split")
    client.compress()
    client.socket.sendall(packed[:cut])
    for _ in range(lines):
        assert client.next().tag == "x"


def test_a_bomb_meets_the_limits_after_inflation(server: Server, client: Client, account: str) -> None:
    client.compress()
    assert client._pack is not None
    pack = client._pack
    packed = pack.compress(b"a STATUS ")
    for _ in range(400):
        packed += pack.compress(b"x" * 1_000_000)
    packed += pack.compress(b"\r\nb NOOP\r\n") + pack.flush(zlib.Z_SYNC_FLUSH)
    assert len(packed) < 500_000
    with Client(server.ports["imap"]) as other:
        other.login(f"{account}@a.test", PASSWORD)
        client.socket.sendall(packed)
        slowest = 0.0
        done = threading.Event()
        answers: list[str | None] = []

        def read() -> None:
            answers.extend([client.next().tag, client.next().tag])
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        while not done.is_set():
            begun = server.spent()
            other.ok("NOOP")
            slowest = max(slowest, server.spent() - begun)
        reader.join()
    assert answers == ["a", "b"]
    assert slowest < 1


def test_what_is_no_deflate_stream_ends_the_connection(client: Client) -> None:
    client.compress()
    client.socket.sendall(b"a NOOP\r\n" * 10)
    assert client.next().kind == "BYE"
    with pytest.raises((EOFError, ConnectionError)):
        client.next()


def test_a_deflate_stream_that_ends_ends_the_connection(client: Client) -> None:
    client.compress()
    assert client._pack is not None
    client.socket.sendall(client._pack.compress(b"a NOOP\r\n") + client._pack.flush(zlib.Z_FINISH))
    answers = []
    with pytest.raises((EOFError, ConnectionError)):
        while True:
            answers.append(client.next().kind)
    assert answers[-1] == "BYE"


def test_a_second_compress_is_refused(client: Client) -> None:
    client.compress()
    assert client.run("COMPRESS DEFLATE").code == "COMPRESSIONACTIVE"
    assert "COMPRESS=DEFLATE" not in client.ok("CAPABILITY")[0].value  # type: ignore[operator]


def test_commands_in_the_packet_of_compress_are_compressed_ones(client: Client) -> None:
    pack = zlib.compressobj(wbits=-15)
    client.send(b"a COMPRESS DEFLATE\r\n" + pack.compress(b"b NOOP\r\n") + pack.flush(zlib.Z_SYNC_FLUSH))
    assert client.next().tag == "a"
    client._unpack = zlib.decompressobj(-15)
    client.buffer = client._unpack.decompress(client.buffer)
    assert client.next().tag == "b"


# TLS ------------------------------------------------------------------------------------------------------------------


def test_a_command_in_the_flight_that_ends_the_handshake_is_answered(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        connection.recv(4096)
        connection.sendall(b"a STARTTLS\r\n")
        assert connection.recv(4096).startswith(b"a OK")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        tls.write(b"b NOOP\r\n")
        connection.sendall(outgoing.read())
        answer = b""
        while b"b OK" not in answer:
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                data = connection.recv(65536)
                assert data
                incoming.write(data)


def test_what_comes_before_the_handshake_is_dropped_with_the_connection(server: Server) -> None:
    with fresh(server) as one:
        one.send(b"a STARTTLS\r\nb LOGIN evil evil\r\n")
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                assert one.next().tag != "b"


def test_starttls_once_and_not_after_login(server: Server, account: str) -> None:
    with fresh(server) as one:
        one.start_tls()
        assert one.run("STARTTLS").kind == "BAD"
        words = one.ok("CAPABILITY")[0].value
        assert isinstance(words, list)
        assert "STARTTLS" not in words
        one.login(f"{account}@a.test", PASSWORD)
        assert one.run("STARTTLS").kind == "BAD"
        one.ok("NOOP")
    with fresh(server) as one:
        one.login(f"{account}@a.test", PASSWORD)
        assert one.run("STARTTLS").kind == "BAD"
        one.ok("NOOP")


# Fairness -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_commands_does_not_stop_the_others(server: Server, client: Client, account: str) -> None:
    flood = b"x NOOP\r\n" * 60_000
    with Client(server.ports["imap"]) as other:
        other.login(f"{account}@a.test", PASSWORD)
        sender = threading.Thread(target=lambda: client.send(flood + b"end NOOP\r\n"))
        sender.start()
        done = threading.Event()

        def read() -> None:
            while client.next().tag != "end":
                pass
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        slowest = 0.0
        while not done.is_set():
            begun = server.spent()
            other.ok("NOOP")
            slowest = max(slowest, server.spent() - begun)
            done.wait(0.02)
        sender.join()
        reader.join()
    assert slowest < 1


def test_an_answer_to_sasl_that_is_too_long_is_refused(server: Server, account: str) -> None:
    with fresh(server) as one:
        one.send(b"a AUTHENTICATE PLAIN\r\n")
        assert one.next().kind == "+"
        one.send(b"x" * 20_000 + b"\r\n")
        assert one.answer("a").kind == "BAD"
        plain = base64.b64encode(f"\0{account}@a.test\0{PASSWORD}".encode())
        one.send(b"b AUTHENTICATE PLAIN\r\n")
        one.next()
        for octet in plain + b"\r\n":
            one.send(bytes([octet]))
        assert one.answer("b").kind == "OK"


def test_after_unauthenticate_there_are_the_same_ways_to_log_in(server: Server, account: str) -> None:
    """RFC 8437 4: TLS stays, and with it what binds a login to it."""
    with Client(server.ports["imaps"], tls=True, tls12=True) as one:
        one.ok("CAPABILITY")
        before, one.heard = repr(one.heard), []
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("UNAUTHENTICATE")
        one.heard = []
        one.ok("CAPABILITY")
        assert "SCRAM-SHA-256-PLUS" in before
        assert repr(one.heard) == before
