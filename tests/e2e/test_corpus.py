"""Every collected mail goes in and comes back byte for byte, whole and in parts."""

import email
import re
import smtplib

import pytest

from tests.support.corpus import mails
from tests.support.imap import Client
from tests.support.responses import Value
from tests.support.server import PASSWORD, Server


def leaves(body: Value, number: tuple[int, ...] = ()) -> list[tuple[str, int, bool]]:
    """Number, size and whether it has a header of its own, of each part of a BODYSTRUCTURE."""
    assert isinstance(body, list)
    if isinstance(body[0], list):
        return [leaf for place, part in enumerate(body[0], 1) for leaf in leaves(part, (*number, place))]
    size = body[6]
    assert isinstance(size, int)
    own = number or (1,)
    found = [(".".join(map(str, own)), size, bool(number))]
    if isinstance(body[7] if len(body) > 8 else None, list):
        inner = body[8]
        assert isinstance(inner, list)
        found += leaves(inner, own) if isinstance(inner[0], list) else leaves(inner, (*own, 1))[:1]
    return found


def whole(client: Client, uid: int, data: bytes) -> None:
    """One message as it was sent, and its pieces as parts of it."""
    shown = data.replace(b"\0", b"\x80")  # a literal can't carry NUL (RFC 9051 4.3.1)
    items = client.fetch(
        f"{uid} (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[] BINARY.PEEK[] "
        "BODY.PEEK[HEADER] BODY.PEEK[TEXT] RFC822.HEADER)"
    )[uid].items
    assert items["RFC822.SIZE"] == len(data)
    assert items["BODY[]"] == shown
    assert items["BINARY[]"] == data
    header, text = items["BODY[HEADER]"], items["BODY[TEXT]"]
    assert isinstance(header, bytes)
    assert isinstance(text, bytes)
    assert header + text == shown
    assert items["RFC822.HEADER"] == header
    # Alone it is read another way.
    assert client.fetch(f"{uid} BODY.PEEK[HEADER]")[uid].items["BODY[HEADER]"] == header
    parts = leaves(items["BODYSTRUCTURE"])
    wanted = " ".join(
        f"BODY.PEEK[{number}]" + (f" BODY.PEEK[{number}.MIME]" if inside else "") for number, _, inside in parts[:60]
    )
    found = client.fetch(f"{uid} ({wanted} BODY.PEEK[99999])")[uid].items
    assert found["BODY[99999]"] is None
    for number, size, inside in parts[:60]:
        part = found[f"BODY[{number}]"]
        assert isinstance(part, bytes)
        assert len(part) == size
        if inside:
            mime = found[f"BODY[{number}.MIME]"]
            assert isinstance(mime, bytes)
            assert mime + part in shown
    half = client.fetch(f"{uid} (BODY.PEEK[]<{len(data) // 2}.{len(data)}> BODY.PEEK[]<0.{len(data) // 2 or 1}>)")[uid].items
    second, first = half[f"BODY[]<{len(data) // 2}>"], half["BODY[]<0>"] if len(data) > 1 else b""
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert first + second == shown


def is_binary(data: bytes) -> bool:
    field = re.search(rb"^content-transfer-encoding:[ \t]*binary", data, re.IGNORECASE | re.MULTILINE)
    return field is not None and b"\0" in data


def without_binary(client: Client, uid: int, data: bytes) -> bytes:
    """What the message is now that its binary parts are base64 (RFC 3516 4.4): another form of the same octets."""
    kept = client.fetch(f"{uid} BODY.PEEK[]")[uid].items["BODY[]"]
    assert isinstance(kept, bytes)
    before, after = email.message_from_bytes(data), email.message_from_bytes(kept)
    assert [part.get_content_type() for part in before.walk()] == [part.get_content_type() for part in after.walk()]
    for old, new in zip(before.walk(), after.walk(), strict=True):
        if not old.is_multipart():
            assert old.get_payload(decode=True) == new.get_payload(decode=True)
    return kept


def test_by_append(server: Server, account: str) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        sent = [(name, data) for name, data in mails() if data]
        assert len(sent) > 300
        for place, (name, data) in enumerate(sent):
            uid = one.append("INBOX", data)
            try:
                if is_binary(data):
                    data = without_binary(one, uid, data)
                    sent[place] = (name, data)
                whole(one, uid, data)
            except Exception as problem:
                problem.add_note(name)
                raise
        assert one.ok("STATUS INBOX (MESSAGES SIZE)")[0].items == {
            "MESSAGES": len(sent),
            "SIZE": sum(len(data) for _, data in sent),
        }
        # Another way to the same: all at once, and from the cache.
        together = one.fetch("1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        assert [response.items["BODY[]"] for response in together.values()] == [
            data.replace(b"\0", b"\x80") for _, data in sent
        ]


def test_by_smtp(server: Server, account: str) -> None:
    """Port 25 takes what has no bare CR, bare LF or NUL; before it stands what a delivery adds, and nothing else differs."""
    address = f"{account}@a.test"
    rest = rb"[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n"
    names = (b"Return-Path: <sender@far.test>\r\n", b"Received: " + rest, b"X-Spam-Status: " + rest)
    added = re.compile(b"".join(b"(?:%b)" % name for name in names))
    legal = [(name, data) for name, data in mails() if not re.search(rb"[\r\n\0]", data.replace(b"\r\n", b""))]
    others = [data for name, data in mails() if (name, data) not in legal]
    assert len(legal) > 150
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as client, Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        one.ok("SELECT INBOX")
        for uid, (name, data) in enumerate(legal, 1):
            client.sendmail("sender@far.test", [address], data, ["BODY=8BITMIME"])
            found = one.fetch(f"{uid} BODY.PEEK[]")[uid].items["BODY[]"]
            assert isinstance(found, bytes)
            header, gap, body = data.partition(b"\r\n\r\n")
            # What looks like our own verdict is left out.
            sent = re.sub(rb"(?im)^X-Spam(?:-Flag|-Level|-Score|-Bar|-Status)?:" + rest, b"", header + b"\r\n") + gap[2:] + body
            sent = sent if sent.endswith(b"\r\n") else sent + b"\r\n"
            assert found.endswith(sent), name
            assert added.fullmatch(found[: -len(sent)]), name
        for data in others[:20]:
            with (
                smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=60) as fresh,
                pytest.raises((smtplib.SMTPDataError, smtplib.SMTPServerDisconnected)),
            ):
                fresh.sendmail("sender@far.test", [address], data, ["BODY=8BITMIME"])
        assert one.ok("STATUS INBOX (MESSAGES)")[0].items == {"MESSAGES": len(legal)}


@pytest.mark.parametrize("size", [1_100_000, 6_000_000])
def test_large_ones_are_sent_block_by_block(server: Server, account: str, size: int) -> None:
    text = b"".join(b"%078d\r\n" % number for number in range(size // 80))
    nul = text[:5000] + b"\0" + text[5001:]
    data = (
        b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsmall\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\n\r\n" + nul + b"\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGV5\r\n--b--\r\n"
    )
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        uid = one.append("INBOX", data)
        whole(one, uid, data)
        items = one.fetch(
            f"{uid} (BODY.PEEK[2.HEADER.FIELDS (subject)] BODY.PEEK[] BODY.PEEK[2.TEXT]<4990.20> "
            "BINARY.PEEK[3] BINARY.SIZE[2] BODY.PEEK[1])"
        )[uid].items
        assert items["BODY[2.HEADER.FIELDS (subject)]"] == b"Subject: inner\r\n\r\n"
        assert items["BODY[]"] == data.replace(b"\0", b"\x80")
        assert items["BODY[2.TEXT]<4990>"] == nul[4990:5010].replace(b"\0", b"\x80")
        assert items["BINARY[3]"] == b"hey"
        assert items["BINARY.SIZE[2]"] == len(b"Subject: inner\r\n\r\n" + nul)
        assert items["BODY[1]"] == b"small"
