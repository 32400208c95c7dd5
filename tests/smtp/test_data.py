"""DATA's end and dots, whatever the split; bare line ends are seen across blocks."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.crlf import LineEnds, ToCrlf
from mailstack.smtp.data import DataReader

CASES = [
    (b".\r\n", b""),
    (b"a\r\n.\r\n", b"a\r\n"),
    (b"..\r\n...a\r\n.\r\n", b".\r\n..a\r\n"),
    (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
    (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n"),
    (b"\r\n\r\n..\r\n.\r\n", b"\r\n\r\n.\r\n"),
]


def read(data: bytes, size: int) -> tuple[bytes, bytes]:
    reader = DataReader()
    out = b""
    for place in range(0, len(data), size):
        assert not reader.finished
        out += reader.feed(data[place : place + size])
        if reader.finished:
            return out, reader.rest + data[place + size :]
    raise AssertionError("no end")


@pytest.mark.parametrize(("wire", "message"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_the_split_does_not_matter(wire: bytes, message: bytes, size: int) -> None:
    assert read(wire + b"NOOP\r\n", size) == (message, b"NOOP\r\n")


@given(st.lists(st.sampled_from([b"a", b".", b"..", b"\r\n", b"\r\n.", b"b."]), max_size=12), st.integers(1, 9))
def test_stuffed_and_back(pieces: list[bytes], size: int) -> None:
    message = b"".join(pieces) + b"\r\n"
    stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    assert read(stuffed, size) == (message, b"")


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\0"]), max_size=12), st.integers(1, 5))
def test_line_ends(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    ends, mender = LineEnds(), ToCrlf()
    mended = b""
    for place in range(0, len(data), size):
        ends.look(data[place : place + size])
        mended += mender.convert(data[place : place + size])
    ends.finish()
    mended += mender.finish()
    assert ends.bare == (data.replace(b"\r\n", b"").count(b"\r") + data.replace(b"\r\n", b"").count(b"\n") > 0)
    assert ends.nul == (b"\0" in data)
    assert mended == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def test_only_crlf_dot_crlf_ends_a_message() -> None:
    """Every sequence of up to seven of the octets that matter."""
    for size in range(1, 8):
        for letters in itertools.product(b"\r\n.x", repeat=size):
            data = bytes(letters)
            end = re.search(rb"(?:\A|\r\n)\.\r\n", data)
            reader = DataReader()
            out = reader.feed(data)
            assert reader.finished == (end is not None), data
            if end is not None:
                before = data[: end.start()] + (b"\r\n" if end.start() or data[:1] != b"." else b"")
                assert out == (b"\r\n" + before).replace(b"\r\n.", b"\r\n")[2:], data
                assert reader.rest == data[end.end() :]
