"""The ClientHello of a real client, whole, in pieces, in several records, and damaged."""

import random
import ssl

import pytest

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.client_hello import LIMIT, ClientHello, parse


def hello(name: str | None, protocols: list[str]) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("name", "protocols"),
    [("Mail.A.test", ["acme-tls/1"]), (None, []), ("a.test", ["h2", "http/1.1"]), (None, ["acme-tls/1"]), ("b.test", [])],
)
def test_names_and_protocols(name: str | None, protocols: list[str]) -> None:
    data = hello(name, protocols)
    found = ClientHello(name.lower() if name else None, tuple(one.encode() for one in protocols))
    assert parse(data) == parse(data + b"\x14\x03\x03\x00\x01\x01") == found
    # Packets do not matter, and neither do records.
    for size in range(len(data)):
        assert parse(data[:size]) is None
    message = data[5:]
    records = [message[place : place + 50] for place in range(0, len(message), 50)]
    assert parse(b"".join(b"\x16\x03\x01" + len(one).to_bytes(2, "big") + one for one in records)) == found


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x16\x03\x01\x00\x04\x02\x00\x00\x01"]
)
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        parse(data)


def test_one_that_has_no_end() -> None:
    with pytest.raises(SyntaxProblem):
        parse(b"\x16\x03\x01\x40\x00\x01" + LIMIT.to_bytes(3, "big") + bytes(16384))
    with pytest.raises(SyntaxProblem):
        parse(b"\x16\x03\x01\x00\x00" * LIMIT)


def test_anything_is_a_value_or_a_syntax_problem() -> None:
    chance = random.Random(5)
    data = hello("a.test", ["acme-tls/1"])
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            found = parse(bytes(changed[: chance.randrange(1, len(changed) + 1)]))
        except SyntaxProblem:
            continue
        assert found is None or isinstance(found, ClientHello)
