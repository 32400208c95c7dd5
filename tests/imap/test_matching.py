"""Searching in messages: decoded, in any charset, and never an error, whatever the message is."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap.commands.matching import header_contains, sent_date, text_contains
from mailstack.imap.commands.sections import UnknownEncoding, choose_fields, decode_body
from mailstack.message.mime import walk
from mailstack.wire.imap.fetch import Kind, Section
from tests.message.test_mime import ANYTHING
from tests.support.corpus import mails

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "2000"))


def part(charset: str, encoding: str, body: bytes, kind: str = "plain") -> bytes:
    return f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("data", "needle"),
    [
        (part("utf-8", "8bit", "Grüße".encode()), "GRÜSSE"),
        (part("iso-8859-1", "quoted-printable", b"Gr=FC=DFe"), "grüße"),
        (part("utf-8", "base64", b"R3LDvMOfZQ=="), "grüße"),
        (part("windows-1252", "8bit", b"100 \x80"), "100 \u20ac"),
        (part("koi8-r", "8bit", "привет".encode("koi8-r")), "ПРИВЕТ"),
        (part("iso-2022-jp", "7bit", "かきくけ".encode("iso-2022-jp")), "きく"),
        (part("gb2312", "8bit", "你好".encode("gb18030")), "你好"),
        (part("nonsense", "8bit", "Grüße".encode()), "grüße"),
        (part("utf-8", "8bit", b"\xff broken Gr\xc3\xbc\xc3\x9fe"), "grüße"),
        (part("us-ascii", "8bit", "Grüße".encode()), "grüße"),
        (part("utf-8", "x-unknown", b"as it is"), "as it"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + part("utf-8", "8bit", b"in") + b"\r\n--b--", "in"),
        (b"Content-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nbody", "deep"),
    ],
)  # fmt: skip
def test_text_is_found_as_it_is_read(data: bytes, needle: str) -> None:
    assert text_contains(data, needle, with_headers=False)
    assert not text_contains(data, "what is not there", with_headers=True)


def test_headers_are_found_as_they_are_read() -> None:
    header = b"Subject: =?utf-8?q?Gr=C3=BC?=\r\n =?utf-8?b?w59l?= x\r\nTo: a@b\r\nTo: c@d\r\nX-Empty:\r\n\r\n"
    assert header_contains(header, "subject", "GRÜSSE X")
    assert header_contains(header, "To", "c@d")
    assert header_contains(header, "x-empty", "")
    assert not header_contains(header, "cc", "")
    assert not header_contains(header, "to", "subject")


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (b"Thu, 1 Jan 1970 23:59:59 -1200", 0),
        (b"2 Jan 1970 00:00:00", 1),
        (b"Fri, 2 Jan 70 00:00 GMT (comment)", 1),
        (b"nonsense", None),
        (b"", None),
        (b"99 Foo 99999999999999 99:99:99 +9999", None),
        (b"31 Feb 2024 00:00:00", 19784),
        (b"\xff\0", None),
    ],
)
def test_the_day_of_a_date(value: bytes, day: int | None) -> None:
    assert sent_date(b"Date: " + value + b"\r\n\r\n") == day


def test_base64_that_is_broken_is_read_as_far_as_it_can_be() -> None:
    for data in (b"QUJD", b"QUJD\r\nQUJD", b"QUJ", b"QU", b"Q", b"", b"QUJD=QUJD", b"***QUJD***", b"QUJDQ"):
        assert decode_body(data, b"base64")[:2] == b"ABC"[: min(2, len(data) - 1)] or len(data) < 2 or data.startswith(b"*")
    with pytest.raises(UnknownEncoding):
        decode_body(b"", b"uuencode")


def hold(data: bytes, needle: str) -> None:
    tree = walk(data)
    header = data[: tree.body]
    for with_headers in (True, False):
        text_contains(data, needle, with_headers=with_headers)
    header_contains(header, "subject", needle)
    sent_date(header)
    names = (b"subject", b"to", b"content-type")
    kept = choose_fields(header, Section(kind=Kind.HEADER_FIELDS, names=names))
    others = choose_fields(header, Section(kind=Kind.HEADER_FIELDS_NOT, names=names))
    assert kept.endswith(b"\r\n")
    assert others.endswith(b"\r\n")
    for encoding in (b"base64", b"quoted-printable", b"binary"):
        decode_body(data, encoding)


NEEDLES = st.sampled_from(["a", "ß", "\x00", "x" * 100, "é", "="])


@settings(max_examples=150, deadline=None)
@given(ANYTHING, NEEDLES)
def test_anything_can_be_searched(data: bytes, needle: str) -> None:
    hold(data, needle)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None)
@given(ANYTHING, NEEDLES)
def test_anything_can_be_searched_for_long(data: bytes, needle: str) -> None:
    hold(data, needle)


def test_collected_mails_can_be_searched() -> None:
    for _, data in mails():
        hold(data, "ß")


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: " + b"=?utf-8?q?x?= " * 50_000 + b"\r\n\r\n",
        part("utf-7", "7bit", b"+" * 500_000),
        part("punycode", "7bit", b"a" * 200_000 + b"-" + b"z" * 200_000),
        part("idna", "7bit", b"xn--" + b"a" * 200_000),
        part("unicode_escape", "7bit", b"\\N{" * 200_000),
        part("utf-8", "base64", b"=" * 1_000_000),
        part("utf-8", "quoted-printable", b"=" * 1_000_000),
        part("utf-8", "8bit", b"<" * 300_000, "html"),
    ],
    ids=["words", "utf-7", "punycode", "idna", "escapes", "base64", "quoted-printable", "html"],
)
def test_mails_built_to_hurt_are_searched_in_bounded_time(data: bytes) -> None:
    begun = time.process_time()
    text_contains(data, "not there", with_headers=True)
    assert time.process_time() - begun < 2
