"""Messages made of their parts: the fields that were given, and no others."""

import datetime

import pytest

from mailstack.message.composing import Attachment, Draft, compose
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import fields, split_header

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
WORDS = [
    "=?utf-8?q?a=0d=0aBcc:_x@far.test?=",
    "=?utf-8?b?YQ0KQmNjOiB4QGZhci50ZXN0?=",
    "=?utf-8?q?a=0aBcc:_x@far.test?=",
    "=?us-ascii?q?a=0d=0a=0d=0abody?=",
    "=?x-" + "n" * 60 + "?q?a=0d=0aBcc:_x@far.test?=",
    "=?utf-8?q?a?= =?utf-8?q?=0d=0aBcc:_x@far.test?=",
]


def draft(**parts: object) -> Draft:
    return Draft(**{"sender": "a@a.test", "to": ("b@b.test",), "subject": "s", "text": "t", **parts})  # type: ignore[arg-type]


def names(one: Draft) -> list[str]:
    header, _ = split_header(compose(one, NOW, "<x@a.test>").data)
    return [name.decode() for name, _ in fields(header)]


@pytest.mark.parametrize("word", WORDS)
def test_an_encoded_word_brings_no_field(word: str) -> None:
    given = names(draft(headers=(("X-A", "y"),)))
    for one in (
        draft(subject=word, headers=(("X-A", "y"),)),
        draft(headers=(("X-A", word),)),
        draft(sender=f"{word} <a@a.test>", headers=(("X-A", "y"),)),
        draft(to=(f'"{word}" <b@b.test>',), headers=(("X-A", "y"),)),
    ):
        try:
            found = names(one)
        except SyntaxProblem:
            continue
        assert found == given


@pytest.mark.parametrize("word", WORDS)
def test_nor_one_in_a_part(word: str) -> None:
    for one in (Attachment(word, b"x"), Attachment("x", b"x", "text/plain", word)):
        try:
            data = compose(draft(html="<p>", attachments=(one,)), NOW, "<x@a.test>").data
        except SyntaxProblem:
            continue
        assert b"\nBcc:" not in data


@pytest.mark.parametrize(
    "one",
    [
        draft(subject="a\u2028b"), draft(subject="a\x85b"), draft(text="a\0b"), draft(text="\ud800"), draft(html="\ud800"),
        draft(headers=(("Resent-To", WORDS[0] + " <x@far.test>"),)), draft(subject="\ud800"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_said_so(one: Draft) -> None:
    with pytest.raises(SyntaxProblem):
        compose(one, NOW, "<x@a.test>")


def test_words_that_only_say_something_stay() -> None:
    assert names(draft(subject="=?utf-8?q?f=C3=BCr?= dich, \u00fcbermorgen", sender="=?utf-8?q?J=C3=BCrg?= <a@a.test>"))
    data = compose(draft(text="a\r.\rb\n.\nc"), NOW, "<x@a.test>").data
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
