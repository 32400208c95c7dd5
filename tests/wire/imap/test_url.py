"""URLs of messages, and all that is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.fetch import Kind, Section
from mailstack.wire.imap.url import MessageUrl, parse_url

WHOLE = Section(peek=True)
CASES = {
    "/INBOX/;UID=20": MessageUrl(None, None, "INBOX", None, 20, WHOLE),
    ";uid=20": MessageUrl(None, None, None, None, 20, WHOLE),
    "/A%20b/%C3%BC;UIDVALIDITY=38/;UID=20/;section=1.2": MessageUrl(
        None, None, "A b/\u00fc", 38, 20, Section((1, 2), peek=True, label=b"BODY[1.2]")
    ),
    "imap://Mail.A.Test:143/x/;UID=1/;SECTION=TEXT": MessageUrl(
        "mail.a.test", None, "x", None, 1, Section(kind=Kind.TEXT, peek=True, label=b"BODY[TEXT]")
    ),
    "imap://u%40a.test;AUTH=*@h/x/;UID=1/;PARTIAL=5.6": MessageUrl("h", "u@a.test", "x", None, 1, WHOLE, 5, 6),
    "imap://u@h/x/;UID=1/;PARTIAL=5": MessageUrl("h", "u", "x", None, 1, WHOLE, 5),
}
BAD = (
    "", "/", "/INBOX", "/INBOX/;UID=0", "/INBOX/;UID=", ";UID=1x", "http://h/x/;UID=1", "imap://h;UID=1", "imap://h/;UID=1",
    "/;UID=1", "/x/;UID=1/;SECTION=FOO", "/x/;UID=1/;SECTION=1]", "/x/;UID=1/;SECTION=0", "/x/;UID=1/;PARTIAL=5.0",
    "/%FF/;UID=1",    "/x/;UID=99999999999", "/\u00fc/;UID=1", "/x/;UID=1/;SECTION=1%3C0.5%3E", "/x/;UID=1/;SECTION=1%00",
    "/x;UIDVALIDITY=0/;UID=1",
)  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_cases(text: str) -> None:
    assert parse_url(text) == CASES[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_none(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_url(text)


@given(
    st.lists(
        st.sampled_from(["/", ";UID=", "1", ";SECTION=", "imap://", "@", "h", "%2", "%20", ";PARTIAL=", ".", "HEADER", ";"])
    )
)
def test_anything(pieces: list[str]) -> None:
    with contextlib.suppress(SyntaxProblem):
        parse_url("".join(pieces))
