"""Binary parts in base64: nothing is lost, and nothing else is touched."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message import mime
from mailstack.message.binary import encoded
from mailstack.message.transfer import decode_body

PART = b"Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\nX-Y: z\r\n\r\n"


def test_one_part() -> None:
    body = bytes(range(256)) * 10
    done = encoded(b"MIME-Version: 1.0\r\n" + PART + body)
    part = mime.walk(done)
    assert b"\0" not in done
    assert part.encoding == b"base64"
    assert b"\r\nX-Y: z\r\n" in done
    assert base64.b64decode(done[part.body : part.end]) == body
    assert max(map(len, done.split(b"\r\n"))) <= 76


def test_parts_of_parts() -> None:
    inner = b"Content-Transfer-Encoding: binary\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + PART
    inner += b"a\0b\r\n--b\r\n\r\ntext\r\n--b--\r\n"
    outer = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding:\r\n binary\r\n\r\n" + inner
    done = encoded(outer)
    assert b"\0" not in done
    part = mime.walk(done)
    assert part.encoding == b"8bit"
    assert part.children[0].encoding == b"8bit"
    first, second = part.children[0].children
    assert base64.b64decode(done[first.body : first.end]) == b"a\0b"
    assert done[second.body : second.end] == b"text"


@pytest.mark.parametrize("data", [b"", b"\0", b"X: x\r\n\r\na\0b", PART + b"text", PART.replace(b"binary", b"8bit") + b"\0"])
def test_what_stays(data: bytes) -> None:
    assert encoded(data) is data


@given(st.binary(max_size=200))
def test_any_octets(body: bytes) -> None:
    data = PART + body
    done = encoded(data)
    assert (done == data) is (b"\0" not in body)
    part = mime.walk(done)
    assert decode_body(done[part.body : part.end], part.encoding) == body
    encoded(body + PART + body)
