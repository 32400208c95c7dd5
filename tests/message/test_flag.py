"""Flags as bits and as letters: the same both ways; text of octets, whatever their charset is said to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.charset import decode
from mailstack.message.flag import KEYWORD_COUNT, LETTERS, NAMES, Flags, from_letters, keyword_bit, keyword_numbers, to_letters


@given(st.sets(st.sampled_from(sorted(LETTERS))))
def test_letters_both_ways(letters: set[str]) -> None:
    text = "".join(sorted(letters))
    assert to_letters(from_letters(text)) == text


@given(st.text(max_size=20))
def test_what_is_no_letter_is_passed_over(text: str) -> None:
    assert set(to_letters(from_letters(text))) == {letter for letter in text if letter in LETTERS}


def test_each_letter_has_a_bit_of_its_own() -> None:
    assert len(set(LETTERS.values())) == len(LETTERS) == 52
    assert [LETTERS[letter] for letter in "DFRST"] == [Flags.DRAFT, Flags.FLAGGED, Flags.ANSWERED, Flags.SEEN, Flags.DELETED]
    assert all(to_letters(flag) for flag in NAMES)


@given(st.sets(st.integers(0, KEYWORD_COUNT - 1)), st.integers(0, 63))
def test_keywords_both_ways(numbers: set[int], others: int) -> None:
    bits = others
    for number in numbers:
        bits |= keyword_bit(number)
    assert keyword_numbers(bits) == sorted(numbers)
    assert {ord(letter) - ord("a") for letter in to_letters(bits) if letter.islower()} == numbers


@pytest.mark.parametrize("number", [-1, KEYWORD_COUNT])
def test_there_are_26_keywords(number: int) -> None:
    with pytest.raises(ValueError, match="not in"):
        keyword_bit(number)


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        (b"Gr\xc3\xbc\xc3\x9fe", "utf-8", "Grüße"),
        (b"Gr\xfc\xdfe", "ISO-8859-1", "Grüße"),
        (b"Gr\xfc\xdfe", None, "Grüße"),
        (b"Gr\xc3\xbc\xc3\x9fe", "us-ascii", "Grüße"),
        (b"\xc3\xff", "utf-8", "\ufffd\ufffd"),
        (b"abc", "undefined", "abc"),
        (b"abc", "hex", "abc"),
        (b"abc", "../../etc/passwd", "abc"),
        (b"\x82\xa0", "x-sjis", "あ"),
        (b"", "utf-16", ""),
    ],
)
def test_charsets(octets: bytes, charset: str | None, text: str) -> None:
    assert decode(octets, charset) == text


@given(
    st.binary(max_size=50),
    st.one_of(st.none(), st.text(max_size=15), st.sampled_from(["utf-7", "utf-16", "hz", "idna", "rot13"])),
)
def test_any_octets_are_some_text(octets: bytes, charset: str | None) -> None:
    assert isinstance(decode(octets, charset), str)
