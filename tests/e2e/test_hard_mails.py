"""Mails built to hurt, through the whole server: answers that a client can read, sizes that add up, parts that agree."""

import pytest

from tests.e2e.test_corpus import leaves, whole
from tests.message.test_mime import HARD
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

LARGEST = 12_000_000
KEPT = "BODY.PEEK[HEADER.FIELDS (Subject From To Cc)]"


@pytest.fixture
def client(server: Server, account: str):
    with Client(server.ports["imap"], seconds=120) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        yield one


@pytest.mark.parametrize("name", [name for name, data in HARD.items() if 0 < len(data) <= LARGEST])
def test_it_is_told_as_it_is(client: Client, name: str) -> None:
    data = HARD[name]
    uid = client.append("INBOX", data)
    whole(client, uid, data)
    # Kept fields are those of the header itself.
    header = client.fetch(f"{uid} BODY.PEEK[HEADER]")[uid].items["BODY[HEADER]"]
    fields = client.fetch(f"{uid} ({KEPT} BODY.PEEK[HEADER.FIELDS (X-None)])")[uid].items
    assert isinstance(header, bytes)
    for field, value in fields.items():
        if field.startswith("BODY[HEADER.FIELDS"):
            assert isinstance(value, bytes)
            assert value == b"\r\n" or value.removesuffix(b"\r\n").split(b"\n", 1)[0] in header


def test_parts_put_together_are_the_message(client: Client) -> None:
    """Headers and bodies of the parts, with what stands between them, and the numbers of lines that BODYSTRUCTURE tells."""
    data = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\nbefore\r\n--o\r\n"
        b"Content-Type: text/plain\r\n\r\na\r\nb\r\n\r\n--o\r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\none\r\ntwo\r\n"
        b"--o\r\nContent-ID: <c>\r\n\r\n\r\n--o--\r\nafter\r\n"
    )
    uid = client.append("INBOX", data)
    found = client.fetch(f"{uid} BODYSTRUCTURE")[uid].items["BODYSTRUCTURE"]
    position = 0
    for number, size, _ in leaves(found):
        if "." in number:  # the text of the message inside, which is in its part
            continue
        items = client.fetch(f"{uid} (BODY.PEEK[{number}.MIME] BODY.PEEK[{number}])")[uid].items
        mime, body = items[f"BODY[{number}.MIME]"], items[f"BODY[{number}]"]
        assert isinstance(mime, bytes)
        assert isinstance(body, bytes)
        assert len(body) == size
        place = data.index(mime + body, position)
        assert data[position:place].strip().startswith((b"--o", b"Subject"))
        position = place + len(mime + body)
    assert data[position:] == b"\r\n--o--\r\nafter\r\n"
    assert isinstance(found, list)
    text, message = found[0][0], found[0][1]
    assert (text[7], message[9]) == (2, 3)
