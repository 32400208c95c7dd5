"""What SORT and THREAD go by."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.sortkeys import digest, dump, keys, load, message_ids, sent

DATES = [
    (b"31 Dec 2000 16:01:33 -0800", datetime.datetime(2001, 1, 1, 0, 1, 33)),
    (b"Mon, 5 Feb 2024 10:00:00 +0100", datetime.datetime(2024, 2, 5, 9)),
    (b"Mon, 5 Feb 2024 10:00:00 +0100 (CET)", datetime.datetime(2024, 2, 5, 9)),
    (b"Mon,  5 Feb 24 10:00:00 GMT", datetime.datetime(2024, 2, 5, 10)),
    (b"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", datetime.datetime(1997, 11, 21, 15, 55, 6)),
    (b"5 Feb 2024 10:00 EST", datetime.datetime(2024, 2, 5, 15)),
    (b"Mon, 5 Feb 2024 10:00:00 nowhere", datetime.datetime(2024, 2, 5, 10)),
    (b"Mon, 5 Feb 2024 99:99:99 +0000", datetime.datetime(2024, 2, 5)),
]


@pytest.mark.parametrize(("value", "moment"), DATES)
def test_sent_dates(value: bytes, moment: datetime.datetime) -> None:
    assert sent(value) == int(moment.replace(tzinfo=datetime.UTC).timestamp())


@pytest.mark.parametrize("value", [None, b"", b"yesterday", b"32 Feb 2024 10:00:00 +0000", b"\xff"])
def test_no_date(value: bytes | None) -> None:
    assert sent(value) is None


def test_message_ids() -> None:
    one = digest(b"a@b")
    assert message_ids(b"<a@b>") == message_ids(b'<"a"@b>') == message_ids(b"x < a@b > y") == [one]
    assert message_ids(b"<a@b><c@d>\t<e@f>") == [one, digest(b"c@d"), digest(b"e@f")]
    assert message_ids(b"<nobody> <@x> a@b <a b@c>") == []


def test_keys_of_a_mail() -> None:
    found = keys(
        b"From: =?utf-8?q?=C3=84nne?= <dora@x.test>, b@c\r\nTo: group: one@x, two@x;\r\nCc: <Three@x>\r\n"
        b"Subject: Re:\r\n [x] Gr\xc3\xbc\xc3\x9fe\r\nDate: Mon, 5 Feb 2024 10:00:00 +0100\r\nMessage-ID: <1@x>\r\n"
        b"In-Reply-To: <2@x> <3@x>\r\nReferences: none\r\n\r\n"
    )
    assert found[:2] == (1707123600, True)
    assert found[2:8] == ("GRU\u0308\u00dfE".encode(), b"DORA", b"GROUP", b"THREE", "A\u0308NNE".encode(), b"GROUP")
    assert found[8:] == (digest(b"1@x"), [digest(b"2@x")])
    assert load(dump(found)) == found


@given(st.binary(max_size=120), st.sampled_from([b"", b"Date: ", b"From: ", b"To: ", b"Subject: ", b"References: <", b"Cc: "]))
def test_anything_has_keys(data: bytes, name: bytes) -> None:
    found = keys(name + data + b"\r\n\r\n")
    assert load(dump(found)) == found
