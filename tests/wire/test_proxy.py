"""PROXY protocol headers: both versions, cut anywhere, and everything that is none."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.proxy import LOCAL_HEADER, SIGNATURE, Ends, Header, parse

V4 = b"\xc0\x00\x02\x07\xc6\x33\x64\x01" + struct.pack("!HH", 40000, 25)
V6 = bytes.fromhex("20010db8000000000000000000000007 20010db8000000000000000000000001") + struct.pack("!HH", 40000, 25)
MAPPED = bytes.fromhex("00000000000000000000ffffc0000207 00000000000000000000ffffc6336401") + struct.pack("!HH", 40000, 25)
TLV = b"\x04\x00\x03abc\x20\x00\x00"
FOUR = Ends("192.0.2.7", 40000, "198.51.100.1", 25)
SIX = Ends("2001:db8::7", 40000, "2001:db8::1", 25)


def two(command: int, family: int, block: bytes, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block) if size is None else size) + block


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", FOUR),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Ends("255.255.255.255", 65535, "255.255.255.255", 65535)),
    (b"PROXY TCP6 2001:DB8::7 2001:db8:0:0:0:0:0:1 40000 25\r\n", SIX),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 25\r\n", FOUR),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN anything at all 1 2 3\r\n", None),
    (two(0x21, 0x11, V4), FOUR),
    (two(0x21, 0x11, V4 + TLV), FOUR),
    (two(0x21, 0x21, V6), SIX),
    (two(0x21, 0x21, MAPPED + TLV * 100), FOUR),
    (two(0x21, 0x12, V4), None),  # a datagram
    (two(0x21, 0x31, b"/" * 216), None),  # Unix
    (two(0x21, 0x00, b""), None),
    (two(0x20, 0x11, V4), None),
    (two(0x20, 0x00, b"\xff" * 40), None),
    (LOCAL_HEADER, None),
]
BAD = [
    b"EHLO x\r\n",
    b"PROXY",  # only with what follows
    b"PROXY \r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25 \r\n",
    b"PROXY  TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 040000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 25\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
    b"PROXY UNKNOWNx\r\n",
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    b"PROXY TCP4 " + b"1" * 200,
    b"proxy TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
    SIGNATURE + b"\x11",
    SIGNATURE + b"\x22",
    SIGNATURE + b"\x31",
    two(0x21, 0x41, V4),
    two(0x21, 0x13, V4),
    two(0x21, 0x11, V4[:11]),
    two(0x21, 0x21, V4),
    b"\x16\x03\x01\x02\x00\x01",  # TLS
    b"\r\n\r\n\x00\r\nQUIX",
]


@pytest.mark.parametrize(("data", "ends"), GOOD)
def test_a_header_and_what_comes_behind_it(data: bytes, ends: Ends | None) -> None:
    assert parse(data) == Header(ends, len(data))
    assert parse(data + b"EHLO x\r\n") == Header(ends, len(data))
    for cut in range(len(data)):
        assert parse(data[:cut]) is None, cut


@pytest.mark.parametrize("data", BAD)
def test_what_is_none(data: bytes) -> None:
    if data == b"PROXY":
        assert parse(data) is None
        return
    with pytest.raises(SyntaxProblem):
        parse(data)


STARTS = (b"", SIGNATURE, SIGNATURE + b"\x21", b"PROXY ", b"PROXY TCP4 ")


@given(st.builds(bytes.__add__, st.sampled_from(STARTS), st.binary(max_size=120)))
def test_anything_is_a_header_or_a_problem_and_no_octet_changes_what_was_said_before(data: bytes) -> None:
    try:
        found = parse(data)
    except SyntaxProblem:
        return
    if found is not None:
        assert found.size <= len(data)
        assert parse(data[: found.size]) == found
        assert parse(data + b"x") == found
