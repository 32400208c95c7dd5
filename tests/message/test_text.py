"""The text of messages: decoded, folded, in any charset, and never an error, whatever the message is."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.collation import casemap
from mailstack.message.html import to_text
from mailstack.message.text import PIECE, Searchable, read_header, read_message, sent_day
from mailstack.message.transfer import UnknownEncoding, decode_body
from tests.message.test_mime import ANYTHING
from tests.support.corpus import mails

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "2000"))


def part(charset: str, encoding: str, body: bytes, kind: str = "plain") -> bytes:
    return f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


def multipart(*parts: bytes) -> bytes:
    inner = b"".join(b"--b\r\n" + one + b"\r\n" for one in parts)
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + inner + b"--b--\r\n"


@pytest.mark.parametrize(
    ("data", "needle"),
    [
        (part("utf-8", "8bit", "Grüße".encode()), "GRÜßE"),
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
        (part("utf-8", "8bit", b"<p>hel<b>lo</b> there", "html"), "hello there"),
        (multipart(part("utf-8", "8bit", b"in")), "in"),
        (b"Content-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nbody", "deep"),
    ],
)  # fmt: skip
def test_text_is_read_as_a_reader_sees_it(data: bytes, needle: str) -> None:
    text = read_message(data)
    assert casemap(needle) in text.body
    assert casemap("what is not there") not in text.head + text.mime + text.body


def test_headers_are_read_as_a_reader_sees_them() -> None:
    header = b"Subject: =?utf-8?q?Gr=C3=BC?=\r\n =?utf-8?b?w59l?= x\r\nTo: a@b\r\nTo: c@d\r\nX-Empty:\r\n\r\n"
    text = read_header(header)
    assert text.values("SUBJECT") == [casemap("grüße x")]
    assert text.values("TO") == ["A@B", "C@D"]
    assert text.values("X-EMPTY") == [""]
    assert text.values("CC") == []
    assert read_message(header + b"body") == Searchable(text.fields, "", "BODY", None)


def test_parts_headers_are_no_body_and_those_of_inner_messages_are() -> None:
    inner = b"Content-Type: message/rfc822\r\nX-Part: part\r\n\r\nX-Inner: inner\r\n\r\nwords"
    text = read_message(b"X-Outer: outer\r\n" + multipart(inner))
    assert "X-OUTER: OUTER" in text.head
    assert "X-PART: PART" in text.mime.split(PIECE)
    assert text.body.split(PIECE) == ["X-INNER: INNER", "WORDS"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a <b>b</b>c", "a bc"),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br>two<td>three", "one two three"),
        ("<style>p { color: red }</style>seen<script>if (a<b) x()</script> too", "seen too"),
        ("a<!-- <b>not</b> seen -->b", "ab"),
        ("Gr&uuml;&szlig;e &lt;x&gt; 1 < 2", "Grüße <x> 1 < 2"),
        ("lines\r\n  of\ttext", "lines of text"),
        ('<a href="https://a.test/x">here</a>', "here\nhttps://a.test/x"),
        ("<img alt='a cat' src=x>", "\na cat"),
        ("<script>never ended", ""),
        ("<!-- never ended", ""),
        ("<b", "<b"),
        ("", ""),
    ],
)
def test_text_of_html(source: str, text: str) -> None:
    assert to_text(source) == text


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", "STRAßE"),  # RFC 5051: the simple mapping of UnicodeData.txt, which ß does not have
        ("ﬁ ǆ ǅ", "FI DZ\u030c DZ\u030c"),
        ("Ａａ²", "AA2"),
        ("é e\u0301", "E\u0301 E\u0301"),
        ("Σσς", "ΣΣΣ"),
        ("한글", "한글"),
        ("\xa0", " "),
        ("a\0b\x01\udc00", "A\ufffdB\ufffd\ufffd"),
        ("a\0b", "A\ufffdB"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert casemap(text) == folded


@given(st.text(), st.text(), st.text())
def test_folding_keeps_parts_parts_and_is_done_once(before: str, text: str, after: str) -> None:
    assert casemap(text) in casemap(before + text + after)
    assert casemap(casemap(text)) == casemap(text)
    casemap(text).encode("utf-8")


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
    assert sent_day(b"Date: " + value + b"\r\n\r\n") == day


def test_base64_that_is_broken_is_read_as_far_as_it_can_be() -> None:
    for data in (b"QUJD", b"QUJD\r\nQUJD", b"QUJ", b"QU", b"Q", b"", b"QUJD=QUJD", b"***QUJD***", b"QUJDQ"):
        assert decode_body(data, b"base64")[:2] == b"ABC"[: min(2, len(data) - 1)] or len(data) < 2 or data.startswith(b"*")
    with pytest.raises(UnknownEncoding):
        decode_body(b"", b"uuencode")


def test_attachments_are_given_to_who_reads_them() -> None:
    given_ones: list[tuple[str, str, bytes]] = []

    def reads(kind: str, name: str, body: bytes) -> str | None:
        given_ones.append((kind, name, body))
        return "What is in it" if name == "a.pdf" else None

    pdf = (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=a.pdf\r\n\r\nQUJD"
    )
    image = b"Content-Type: image/png; name=b.png\r\n\r\nx"
    text = read_message(multipart(part("utf-8", "8bit", b"words"), pdf, image), reads)
    assert given_ones == [("application/pdf", "a.pdf", b"ABC"), ("image/png", "b.png", b"x")]
    assert text.body.split(PIECE) == ["WORDS", "WHAT IS IN IT"]


def hold(data: bytes) -> None:
    text = read_message(data, lambda kind, name, body: kind + name)
    for piece in (text.head, text.mime, text.body):
        piece.encode("utf-8")
        assert "\x01" not in piece
    assert all(PIECE not in name + value for name, value in text.fields)
    for encoding in (b"base64", b"quoted-printable", b"binary"):
        decode_body(data, encoding)


@settings(max_examples=150, deadline=None)
@given(ANYTHING)
def test_anything_has_a_text(data: bytes) -> None:
    hold(data)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None)
@given(ANYTHING)
def test_anything_has_a_text_for_long(data: bytes) -> None:
    hold(data)


def test_collected_mails_have_a_text() -> None:
    for _, data in mails():
        hold(data)


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
        part("utf-8", "8bit", b"<!--" * 300_000, "html"),
        part("utf-8", "8bit", b'<a href="' * 200_000, "html"),
        part("utf-8", "8bit", b"&#1" * 300_000, "html"),
        part("utf-8", "8bit", "ǆﷺ".encode() * 200_000),
    ],
    ids=[
        "words", "utf-7", "punycode", "idna", "escapes", "base64", "quoted-printable", "html", "comments", "links",
        "references", "decomposed",
    ],
)  # fmt: skip
def test_mails_built_to_hurt_are_read_in_bounded_time(data: bytes) -> None:
    begun = time.process_time()
    read_message(data)
    assert time.process_time() - begun < 2
