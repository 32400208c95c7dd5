"""The milter protocol: packets both ways, cut anywhere, and everything that is none."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.milter import (
    Actions,
    AddHeader,
    AddRecipient,
    AddRecipientWithParameters,
    Body,
    ChangeHeader,
    ChangeSender,
    Connect,
    DeleteRecipient,
    Framer,
    Header,
    Helo,
    InsertHeader,
    Macros,
    Mail,
    Negotiate,
    Packet,
    Quarantine,
    Rcpt,
    ReplaceBody,
    ReplyCode,
    Steps,
    Word,
    encode,
)

CASES: list[tuple[Packet, bytes]] = [
    (Negotiate(6, Actions(0x11), Steps(0x100000)), b"O\0\0\0\6\0\0\0\x11\0\x10\0\0"),
    (Negotiate(2, Actions(0x1FF), Steps(0x7F)), b"O\0\0\0\2\0\0\1\xff\0\0\0\x7f"),
    (Negotiate(6, Actions(1), Steps(0), b"\0\0\0\1i\0"), b"O\0\0\0\6\0\0\0\1\0\0\0\0\0\0\0\1i\0"),
    (Macros(b"M", ((b"i", b"id0"), (b"{auth_type}", b""))), b"DMi\0id0\0{auth_type}\0\0"),
    (Macros(b"E", ()), b"DE"),
    (Connect(b"far.test", b"4", 25, b"192.0.2.7"), b"Cfar.test\x004\0\x19192.0.2.7\0"),
    (Connect(b"[2001:db8::7]", b"6", 65535, b"2001:db8::7"), b"C[2001:db8::7]\x006\xff\xff2001:db8::7\0"),
    (Connect(b"localhost", b"L", 0, b"/run/x"), b"Clocalhost\0L\0\0/run/x\0"),
    (Connect(b"unknown", b"U"), b"Cunknown\0U"),
    (Helo(b"far.test"), b"Hfar.test\0"),
    (Mail((b"<>",)), b"M<>\0"),
    (Mail((b"<x@far.test>", b"SIZE=7")), b"M<x@far.test>\0SIZE=7\0"),
    (Rcpt((b"<alice@a.test>",)), b"R<alice@a.test>\0"),
    (Header(b"Subject", b" x\n y"), b"LSubject\0 x\n y\0"),
    (Body(b"a\0b\r\n"), b"Ba\0b\r\n"),
    (Body(b"x" * 65535), b"B" + b"x" * 65535),
    (ReplyCode(b"550 5.7.1 No"), b"y550 5.7.1 No\0"),
    (AddHeader(b"X", b""), b"hX\0\0"),
    (InsertHeader(1, b"X", b"y"), b"i\0\0\0\1X\0y\0"),
    (ChangeHeader(2, b"X", b""), b"m\0\0\0\2X\0\0"),
    (ReplaceBody(b""), b"b"),
    (AddRecipient(b"<x@y>"), b"+<x@y>\0"),
    (AddRecipientWithParameters((b"<x@y>", b"NOTIFY=NEVER")), b"2<x@y>\0NOTIFY=NEVER\0"),
    (DeleteRecipient(b"<x@y>"), b"-<x@y>\0"),
    (ChangeSender((b"<x@y>",)), b"e<x@y>\0"),
    (Quarantine(b"why"), b"qwhy\0"),
    *((word, word.value) for word in Word),
]
BAD = [
    b"",
    b"?",
    b"ax",  # an answer has no data
    b"O\0\0\0\6\0\0\0\x11\0\x10\0",
    b"D",
    b"DMi\0",
    b"DMi\0id0",
    b"C",
    b"Cfar.test",
    b"Cfar.test\0",
    b"Cfar.test\x005\0\x19192.0.2.7\0",
    b"Cfar.test\x004\0",
    b"Cfar.test\x004\0\x19192.0.2.7",
    b"Cfar.test\0Ux",
    b"H",
    b"Hx",
    b"Hx\0y\0",
    b"M",
    b"LX\0",
    b"LX\0y\0z\0",
    b"i\0\0\0",
    b"i\0\0\0\1X\0y",
    b"m\0\0\0\1X\0",
    b"y550 x",
    b"q",
]


def framed(packet: bytes) -> bytes:
    return struct.pack("!I", len(packet)) + packet


@pytest.mark.parametrize(("value", "packet"), CASES)
def test_both_ways(value: Packet, packet: bytes) -> None:
    assert encode(value) == framed(packet)
    framer = Framer()
    framer.feed(framed(packet) * 2)
    assert [framer.next(), framer.next(), framer.next()] == [value, value, None]


def test_an_octet_at_a_time() -> None:
    framer = Framer()
    for value, packet in CASES:
        if len(packet) > 1000:
            continue
        for octet in framed(packet):
            assert framer.next() is None
            framer.feed(bytes([octet]))
        assert framer.next() == value


@pytest.mark.parametrize("packet", BAD)
def test_what_is_none(packet: bytes) -> None:
    framer = Framer()
    framer.feed(framed(packet))
    with pytest.raises(SyntaxProblem):
        framer.next()


def test_a_packet_without_end_is_not_collected() -> None:
    framer = Framer()
    framer.feed(b"\x7f\xff\xff\xff")
    with pytest.raises(SyntaxProblem):
        framer.next()


def test_a_nul_does_not_become_another_text() -> None:
    with pytest.raises(SyntaxProblem):
        encode(Header(b"X", b"a\0b"))


LETTERS = sorted({packet[:1] for _, packet in CASES})


@given(st.tuples(st.sampled_from(LETTERS), st.binary(max_size=40)) | st.tuples(st.binary(max_size=40), st.just(b"")))
def test_a_value_or_a_syntax_problem(parts: tuple[bytes, bytes]) -> None:
    framer = Framer()
    framer.feed(framed(b"".join(parts)))
    try:
        value = framer.next()
    except SyntaxProblem:
        return
    assert value is not None
    assert encode(value) == framed(b"".join(parts))
