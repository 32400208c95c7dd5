"""A header that filters change: what they don't touch keeps its octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.editing import EditedHeader
from mailstack.message.errors import SyntaxProblem

TOP = b"Authentication-Results: mail.a.test; none\r\n"
HEADER = b"Subject: a\r\n b\r\nno field\r\nX-A: 1\r\nx-a:2\r\nTo: t\r\n\r\n"


def test_what_is_shown() -> None:
    assert EditedHeader(TOP, HEADER).fields() == [
        (b"Authentication-Results", b" mail.a.test; none"),
        (b"Subject", b" a\n b"),
        (b"X-A", b" 1"),
        (b"x-a", b"2"),
        (b"To", b" t"),
    ]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_without_a_change_nothing_changes(top: bytes, header: bytes) -> None:
    assert b"".join(EditedHeader(top, header).parts()) == top + header


def test_changes() -> None:
    one = EditedHeader(TOP, HEADER)
    one.insert(0, b"DKIM-Signature", b" a=b;\n\tc")
    one.insert(3, b"X-B", b" b")
    one.insert(99, b"X-C", b" c")
    one.add(b"X-D", b"d")
    one.change(2, b"X-A", b" two")
    one.change(1, b"X-a", b"")
    one.change(1, b"X-E", b" e")
    one.change(9, b"To", b"")
    one.change(0, b"To", b"")
    assert one.parts() == (
        b"DKIM-Signature: a=b;\r\n\tc\r\n" + TOP,
        b"Subject: a\r\n b\r\nno field\r\nX-B: b\r\nX-A: two\r\nTo: t\r\nX-C: c\r\nX-D:d\r\nX-E: e\r\n\r\n",
    )
    one.change(1, b"authentication-results", b"")
    assert one.parts()[0] == b"DKIM-Signature: a=b;\r\n\tc\r\n"
    assert one.parts()[1].startswith(b"Subject")


def test_a_header_without_its_end() -> None:
    one = EditedHeader(b"", b"Subject: a")
    one.add(b"X", b" y")
    one.insert(0, b"Z", b" z")
    assert one.parts() == (b"Z: z\r\n", b"Subject: a\r\nX: y\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"", b" x"), (b"a b", b" x"), (b"a:", b" x"), (b"X", b" a\nBcc: x"), (b"X", b" a\r\n\r\nbody"),
        (b"X", b" a\rBcc: x"), (b"X", b" a\n \n b"), (b"X", b" \0"), (b"X", b" " * 70000),
    ],
)  # fmt: skip
def test_what_would_be_more_than_a_field(name: bytes, value: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        EditedHeader(b"", HEADER).add(name, value)
