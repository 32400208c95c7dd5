"""Any bytes have a tree whose sizes add up, and answers that IMAP can carry."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message import mime, structure
from mailstack.message.header import split_header
from tests.support.corpus import mails


def check(data: bytes) -> mime.Part:
    part = mime.walk(data)
    assert mime.load(mime.dump(part)) == part
    todo = [part]
    assert (part.start, part.end) == (0, len(data))
    while todo:
        one = todo.pop()
        assert one.start <= one.body <= one.end
        previous = one.body
        for child in one.children:
            assert previous <= child.start <= child.end <= one.end
            previous = child.end
        todo += one.children
    for text in (structure.envelope(split_header(data)[0]), *(structure.body_structure(part, data, x) for x in (True, False))):
        assert balanced(text), text
    return part


def balanced(text: bytes) -> bool:
    """Whether a client could read it: lists, strings, literals, NIL and numbers, nothing else."""
    depth = place = 0
    token = re.compile(rb'"(?:[^"\\\r\n\x80-\xff]|\\["\\])*"|\{(\d+)\}\r\n|NIL|\d+| ')
    while place < len(text):
        octet = text[place : place + 1]
        if octet in b"()":
            depth += 1 if octet == b"(" else -1
            place += 1
            if depth < 0:
                return False
            continue
        found = token.match(text, place)
        if found is None:
            return False
        place = found.end() + (int(found[1]) if found[1] else 0)
    return depth == 0


def test_collected_mails() -> None:
    for _, data in mails():
        check(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"no colon",
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n',
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b",
        b"Content-Type: message/rfc822\r\n\r\n" * 50,
        b'Subject: \xff\0"\\\r\nFrom: "a\\"b" <x@y>, \xe9 <z@\xff>, (c(d)) <q@r>, group: a@b, c@d;\r\n\r\n',
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 30_000,
    ],
    ids=range(9),
)
def test_hard_ones(data: bytes) -> None:
    check(data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n", b"\r\n",
    b"--b\r\n", b"--b--\r\n", b"x",
    b"\n", b"From: a <b@c>, \"d\" <e@f>\r\n", b"To: (", b'"', b"\\", b"\xc3\xa9", b"\0",
    b"Content-Disposition: attachment; filename*0=a; filename*1*=%41\r\n",
]), max_size=25))  # fmt: skip
def test_anything(pieces: list[bytes]) -> None:
    check(b"".join(pieces))


def test_parts_are_found_by_number() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nfirst\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nplain\r\n--i\r\n"
        b"Content-Type: text/html; charset*=us-ascii''utf-8\r\n\r\n<b>\r\n--i--\r\n\r\n--o--\r\n"
    )
    part = check(data)

    def body(*numbers: int) -> bytes | None:
        found = mime.find(part, numbers)
        return data[found.body : found.end] if found else None

    assert body(1) == b"first"
    assert body(2, 1) == b"plain"
    assert body(2, 2) == b"<b>"
    assert body(3) is None
    assert body(1, 1) == b"first"
    html = mime.find(part, (2, 2))
    assert html is not None
    assert html.parameter(b"charset") == b"utf-8"
