"""The first words of a message, whatever it is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message import mime
from mailstack.message.conversation import thread_id
from mailstack.message.preview import PREVIEW_LENGTH, preview
from tests.support.corpus import mails


def of(data: bytes) -> str:
    return preview(mime.walk(data), data)


MIXED = (
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n"
)
CASES = {
    b"Subject: x\r\n\r\nhello  \r\n\r\n world\r\n": "hello world",
    b"\r\n> quoted\r\nown\r\n-- \r\nsignature\r\n": "own",
    b"\r\n> all of it\r\n> is quoted\r\n": "> all of it > is quoted",
    b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"R3LDvMOfZQ\r\n": "Gr\u00fc\u00dfe",
    b"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    b"=FCber=\r\nall\r\n": "\u00fcberall",
    b"Content-Type: text/html\r\n\r\n"
    b"<head><title>t</title><style>a{}</style></head>a<br>b<!-- c -->d &lt;e&gt;<script>f": "a bd <e>",
    b"Content-Type: text/html\r\n\r\n3 < 4 and 5 > 4": "3 < 4 and 5 > 4",
    b"Content-Disposition: attachment\r\n\r\nnot this": "",
    b"Content-Type: image/png\r\n\r\nxx": "",
    MIXED: "plain",
    MIXED.replace(b"alternative", b"mixed"): "html",
    b"": "",
}  # fmt: skip


@pytest.mark.parametrize("data", CASES)
def test_cases(data: bytes) -> None:
    assert of(data) == CASES[data]


@given(st.binary(max_size=400))
def test_any_octets(data: bytes) -> None:
    for start in (b"", b"Content-Type: text/html\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n\r\n"):
        found = of(start + data)
        assert len(found) <= PREVIEW_LENGTH
        assert not set(found) & set("\r\n\0\t")
    thread_id(data)


def test_every_mail_of_the_corpus() -> None:
    for _, data in mails():
        assert len(of(data)) <= PREVIEW_LENGTH


@pytest.mark.parametrize("piece", [b"<", b"<a ", b"<style>", b"<!--", b"&", b"<a", b"> ", b"=\r\n", b"\r\n", b"&lt"])
def test_what_is_built_to_take_long_does_not(piece: bytes) -> None:
    start = time.process_time()
    of(b"Content-Type: text/html\r\n\r\n" + piece * (400_000 // len(piece)))
    assert time.process_time() - start < 2


def test_a_conversation() -> None:
    root = thread_id(b"Message-ID: <a@x>\r\n\r\n")
    assert root is not None
    assert thread_id(b"In-Reply-To: <a@x>\r\nMessage-ID: <b@x>\r\n") == root
    assert thread_id(b"Message-ID: <c@x>\r\nReferences: <a@x>\r\n\t<b@x>\r\nIn-Reply-To: <b@x>\r\n") == root
    assert thread_id(b"Message-ID: <d@x>\r\n") != root
    assert thread_id(b"Subject: x\r\n\r\n<a@x>") is None
