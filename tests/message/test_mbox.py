"""What mbox files say of messages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.flag import Flags
from mailstack.message.mbox import Marks, cleaned, from_line_date, header_date, is_pseudo, keyword, marks

SEEN = Flags.SEEN


@pytest.mark.parametrize(
    ("line", "date"),
    [
        (b"From a@far.test Tue Jan  2 10:00:00 2024\n", 1704189600),
        (b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\r\n", 1310126914),
        (b"From 1234@xxx Tue Jan 02 10:00:00 +0100 2024", 1704186000),
        (b"From a@b.c Tue Jan 02 10:00 2024", 1704189600),
        (b"From a@b.c Tue Jan  2 10:00:00 CET 2024", 1704189600),
        (b"From a b c@d Tue Jan  2 10:00:00 2024 -0500", 1704207600),
        (b"From the very beginning", None),
        (b"From a Tue Foo  2 10:00:00 2024", None),
        (b"From a Tue Jan  2 30:00:00 2024", None),
        (b"From ", None),
    ],
)
def test_from_lines(line: bytes, date: int | None) -> None:
    assert from_line_date(line) == date


@pytest.mark.parametrize(
    ("header", "date"),
    [
        (b"Received: by x; Tue, 2 Jan 2024 10:00:00 +0000\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n", 1704189600),
        (b"Received: by x\r\nDate: Tue, 2 Jan 2024 11:00:00 +0100\r\n\r\n", 1704189600),
        (b"Received: by x; nonsense\r\nDate: 2 Jan 2024 10:00:00 GMT\r\n\r\n", 1704189600),
        (b"Date: never\r\n\r\n", None),
        (b"Date: Tue, 2 Jan 99999 10:00:00 +0000\r\n\r\n", None),
        (b"Subject: x\r\n\r\n", None),
    ],
)
def test_dates_of_headers(header: bytes, date: int | None) -> None:
    assert header_date(header) == date


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (b"", Marks(SEEN)),
        (b"Status: O\r\n", Marks(Flags(0))),
        (b"Status: RO\r\nX-Status: AFDT\r\n", Marks(SEEN | Flags.ANSWERED | Flags.FLAGGED | Flags.DELETED | Flags.DRAFT)),
        (b"Status: RO\r\nX-Keywords: $Label1 work   \r\n", Marks(SEEN, frozenset({"$Label1", "work"}))),
        (b"X-Mozilla-Status: 0000\r\n", Marks(Flags(0))),
        (b"X-Mozilla-Status: 1007\r\n", Marks(SEEN | Flags.ANSWERED | Flags.FLAGGED, frozenset({"$Forwarded"}))),
        (b"X-Mozilla-Status: 0009\r\nX-Mozilla-Keys: a b\r\n", Marks(SEEN, frozenset({"a", "b"}), gone=True)),
        (b"X-Mozilla-Status: x\r\n", Marks(SEEN)),
        (b"X-Gmail-Labels: Inbox,Unread,Starred\r\n", Marks(Flags.FLAGGED, mailbox="INBOX")),
        (b"X-Gmail-Labels: Archived,Opened\r\n", Marks(SEEN, mailbox="Archive")),
        (b"X-Gmail-Labels: Work/Projects,Important,Home\r\n", Marks(SEEN, frozenset({"$Important", "Home"}), "Work/Projects")),
        (b"X-Gmail-Labels: Sent,Inbox,Category Updates,Home\r\n", Marks(SEEN, frozenset({"Home"}), "Sent")),
        (b"X-Gmail-Labels: =?UTF-8?Q?Entw=C3=BCrfe?=,\"a, b\"\r\n", Marks(SEEN, frozenset({"a,_b"}), "Entwürfe")),
    ],
)  # fmt: skip
def test_marks(fields: bytes, wanted: Marks) -> None:
    assert marks(fields + b"Subject: x\r\n\r\n") == wanted


def test_what_meant_something_in_the_file_only_goes() -> None:
    header = b"Status: RO\r\nSubject: x\r\nContent-Length: 7\r\nX-Gmail-Labels: a\r\n\r\n"
    assert cleaned(header) == b"Subject: x\r\nX-Gmail-Labels: a\r\n\r\n"
    assert is_pseudo(b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1 2\r\n\r\n")
    assert not is_pseudo(b"Subject: FOLDER INTERNAL DATA\r\n\r\n")


def test_labels_become_keywords() -> None:
    assert [keyword(text) for text in ("work", "To do!", "a(b)", "Ärger", "()", "")] == [
        "work",
        "To_do!",
        "a_b",
        "rger",
        "",
        "",
    ]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_have_a_meaning(data: bytes) -> None:
    from_line_date(b"From " + data)
    header_date(b"Received: x; " + data + b"\r\nDate: " + data)
    for name in (b"Status", b"X-Status", b"X-Mozilla-Status", b"X-Gmail-Labels", b"X-Keywords"):
        marks(name + b": " + data + b"\r\n\r\n")
