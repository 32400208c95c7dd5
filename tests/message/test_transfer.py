"""Transfer encodings undone block by block: the same as whole, wherever a block ends."""

import base64
import itertools
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.transfer import UnknownEncoding, decode_body, decoder

ENCODINGS = (b"7bit", b"base64", b"quoted-printable")
HARD = st.lists(st.sampled_from([b"=", b"==", b"\r", b"\n", b"\r\n", b"=\r\n", b"=41", b"4", b"A", b"x", b"Q", b"\xff", b"\0"]))
BODIES = st.one_of(st.binary(max_size=60), HARD.map(b"".join))


def in_blocks(data: bytes, encoding: bytes, cuts: list[int]) -> bytes:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    undo = decoder(encoding)
    pieces = [undo.feed(data[start:end]) for start, end in itertools.pairwise(places)]
    return b"".join([*pieces, undo.finish()])


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=300, deadline=None)
@given(BODIES, st.lists(st.integers(0, 200), max_size=5))
def test_blocks_give_what_the_whole_gives(encoding: bytes, data: bytes, cuts: list[int]) -> None:
    assert in_blocks(data, encoding, cuts) == decode_body(data, encoding)
    assert in_blocks(data, encoding, list(range(len(data)))) == decode_body(data, encoding)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    assert decode_body(base64.encodebytes(data), b"base64") == data
    assert decode_body(quopri.encodestring(data), b"quoted-printable") == data


def test_little_is_held_back() -> None:
    """A body of one line, and one of nothing but escapes, are not gathered."""
    for block in (b"a" * 5000, b"=" * 5000, b"=\r" + b"x" * 5000, b"=4" * 2500):
        undo = decoder(b"quoted-printable")
        for _ in range(3):
            undo.feed(block)
        assert len(undo.finish()) <= 2


def test_an_encoding_that_nobody_knows() -> None:
    with pytest.raises(UnknownEncoding):
        decoder(b"x-uuencode")
