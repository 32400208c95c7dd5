"""Any bytes have a tree whose sizes add up, and answers that IMAP can carry."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message import mime, structure
from mailstack.message.header import split_header
from tests.support.corpus import mails
from tests.support.responses import Reader, Value

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "0"))


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
    readable(data, part)
    return part


def readable(data: bytes, part: mime.Part) -> None:
    """What a client is sent is what the grammar allows, and tells what the tree says."""
    reader = Reader(structure.envelope(split_header(data)[0]))
    reader.envelope()
    assert reader.at == len(reader.data)
    for extended in (True, False):
        reader = Reader(structure.body_structure(part, data, extended))
        told = reader.body(extended)
        assert reader.at == len(reader.data)
        agrees(told, part)


def agrees(told: Value, part: mime.Part) -> None:
    """Sizes and numbers of parts."""
    assert isinstance(told, list)
    if isinstance(told[0], list):
        assert part.type == b"multipart"
        assert len(told[0]) == len(part.children)
        for one, child in zip(told[0], part.children, strict=True):
            agrees(one, child)
        return
    assert (told[0], told[1], told[6]) == (part.type, part.subtype, part.end - part.body)
    if part.type == b"message" and part.children:
        agrees(told[8], part.children[0])


def test_collected_mails() -> None:
    for _, data in mails():
        check(data)


HARD = {
    "empty": b"",
    "one line end": b"\r\n",
    "no colon": b"no colon",
    "no boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n',
    "boundary at the end": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b",
    "50 messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 50,
    "3,000 messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    "addresses": b'Subject: \xff\0"\\\r\nFrom: "a\\"b" <x@y>, \xe9 <z@\xff>, (c(d)) <q@r>, group: a@b, c@d;\r\n\r\n',
    "3,000 levels": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
    "3,000 levels of one boundary": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 3000,
    "100,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
    "100,000 almost boundaries": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bb\r\n--b\r\r\n" * 100_000,
    "10 MB of header": b"Subject: x\r\n" + (b"X-Filler: " + b"y" * 70 + b"\r\n") * 120_000,
    "10 MB of one field": b"To: " + b"a@b.test,\r\n " * 900_000,
    "10 MB of a parameter": b"Content-Type: text/plain; name=" + b"x" * 10_000_000,
    "1 MB of parameters": b"Content-Type: text/plain" + b"; a*1=b; a*0*=c" * 70_000,
    "1 MB of semicolons": b"Content-Type: text/plain" + b"; " * 500_000,
    "no final boundary": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny",
    "NULs": b"Subject: \0\0\r\nFrom: \0@\0\r\nContent-Type: text/\0; a=\0\r\n\r\n\0\0",
    "bare LF": b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
    "RFC 2231": b"Content-Type: a/b; n*1=x; n*0*=utf-16''%00x; n*99999999=y; m*=iso-8859-1'en'%E9; o*=''; o*0=z\r\n\r\n",
    "charset": b"Content-Type: text/plain; charset*=nonsense''%FF; name*=undefined''%41; x*=idna''%ff\r\n\r\nx",
    "punycode": b"Content-Type: text/plain; name*=punycode''" + b"a" * 100_000 + b"-" + b"z" * 200_000,
    "quotes": b'Content-Type: text/"plain"; name="a\\"b; c\r\nContent-Disposition: "x"; filename="\r\n\r\n',
    "spaces": b"To: " + b" " * 500_000 + b"(\r\nCc: x," + b" " * 500_000 + b"@\r\nFrom: x:;," + b" " * 500_000 + b"@\r\n\r\n",
    "spaces in names": b"To: a" + b" " * 500_000 + b"b" + b" " * 500_000 + b"<\r\n\r\n",
    "parentheses": b"To: " + b"(" * 500_000 + b"\r\nFrom: " + b"()" * 250_000 + b"\r\n\r\n",
    "words that touch": b'To: ' + b'""a' * 300_000 + b"\r\n\r\n",
    "quotes that touch": b'To: "' + b'\\"' * 300_000 + b"\r\n\r\n",
    "colons": b"To: " + b"a:" * 300_000 + b";" * 300_000 + b"\r\n\r\n",
    "angles": b"To: " + b"<" * 300_000 + b"@" * 300_000 + b">" * 300_000 + b"\r\n\r\n",
    "many fields": b"To: a\r\n" * 100_000 + b"\r\n",
    "folds": b"Subject:" + b"\r\n x" * 300_000 + b"\r\n\r\n",
    "languages": b"Content-Language: " + b"a, " * 300_000 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", HARD.values(), ids=HARD)
def test_mails_built_to_hurt_are_read_in_bounded_time(data: bytes) -> None:
    begun = time.process_time()
    part = mime.walk(data)
    structure.envelope(split_header(data)[0])
    structure.body_structure(part, data, True)
    assert time.process_time() - begun < 2
    check(data)


PIECES = [
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=\"b c\"\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html; charset=\xff; name*0*=utf-8''%41; name*1=b\r\n",
    b"Content-Type: ", b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: (c) 8bit\r\n",
    b"Content-ID: <a@b>\r\n", b"Content-Description: \xc3\xa9\"\\\r\n", b"Content-Language: en, de\r\n", b"Content-MD5: x\r\n",
    b"\r\n", b"--b\r\n", b"--b--\r\n", b"--b c\r\n", b"--b c--", b"x", b"\n", b" ", b"; ", b"=", b"*0*=",
    b"From: a <b@c>, \"d\" <e@f>\r\n", b"Sender: g: a@b;\r\n", b"Reply-To: <@r,@s:a@b>\r\n", b"To: (", b"Cc: a@b@c <d>\r\n",
    b'"', b"\\", b"<", b">", b",", b":", b"@", b"(", b")", b"\xc3\xa9", b"\0", b"\r",
    b"Content-Disposition: attachment; filename*0=a; filename*1*=%41\r\n", b"Subject: =?utf-8?q?x?=\r\n y\r\n",
]  # fmt: skip
ANYTHING = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=25).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_anything(data: bytes) -> None:
    check(data)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES or 2000, deadline=None)
@given(ANYTHING)
def test_anything_for_long(data: bytes) -> None:
    check(data)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES or 2000, deadline=None)
@given(st.data())
def test_collected_mails_with_pieces_changed(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([octets for _, octets in mails() if len(octets) < 50_000]))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(whole)))
        whole = whole[:place] + data.draw(st.sampled_from(PIECES)) + whole[place + data.draw(st.integers(0, 40)) :]
    check(whole)


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
    assert body(1, 1) is None
    html = mime.find(part, (2, 2))
    assert html is not None
    assert html.parameter(b"charset") == b"utf-8"


def test_a_message_that_is_a_message_itself_has_it_as_its_first_part() -> None:
    """RFC 9051 6.4.5: part 1 of what is no multipart is its whole body."""
    inner = b"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--\r\n"
    data = b"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n" + inner
    part = check(data)

    def body(*numbers: int) -> bytes | None:
        found = mime.find(part, numbers)
        return data[found.body : found.end] if found else None

    assert body(1) == inner
    assert body(1, 1) == b"one"
    assert body(1, 2) == b"two"
    assert body(2) is None
    deeper = b"Content-Type: message/rfc822\r\n\r\n" + data
    part, data = check(deeper), deeper
    assert body(1) == deeper[deeper.index(b"Subject: outer") :]
    assert body(1, 1) == inner
    assert body(1, 1, 2) == b"two"


@pytest.mark.parametrize("unit", [b"a,", b"a@b,", b"<a@b> ,", b"(", b'"', b"a:;"])
def test_what_a_stranger_writes_makes_no_endless_envelope(unit: bytes) -> None:
    """A folder is listed in one go: a megabyte of addresses in each message would be minutes, and gigabytes."""
    line = b"\r\n ".join([unit * (900 // len(unit))] * 1000)
    names = (b"From", b"To", b"Cc", b"Subject", b"In-Reply-To")
    shown = structure.envelope(b"".join(b"%b: %b\r\n" % (name, line) for name in names) + b"\r\n")
    assert len(shown) < 400_000
    Reader(shown).envelope()


def test_a_megabyte_of_parameters_is_looked_at_in_part() -> None:
    names = b"".join(b"; a%d=b" % number for number in range(100_000))
    part = mime.walk(b"Content-Type: text/plain; charset=utf-8" + names + b"\r\n\r\nx")
    assert 100 < len(part.parameters) < 2000
    assert part.parameters[0] == (b"charset", b"utf-8")
