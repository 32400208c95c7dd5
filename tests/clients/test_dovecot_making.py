"""Dovecot beside us: messages made of pieces, binary parts, and first words come out the same."""

from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients

SOURCE = (
    b"Subject: source\r\nFrom: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
    b"Content-Type: text/plain\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\naGV5\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--b--\r\n"
)
SECTIONS = ("", "/;SECTION=1", "/;SECTION=2", "/;SECTION=HEADER", "/;SECTION=TEXT", "/;SECTION=1.MIME", "/;SECTION=3.HEADER",
            "/;SECTION=3.TEXT", "/;SECTION=3.1", "/;SECTION=HEADER.FIELDS%20(From)", "/;SECTION=TEXT/;PARTIAL=3.9",
            "/;PARTIAL=10", "/;SECTION=1/;PARTIAL=99.9")  # fmt: skip
BINARY = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/x\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\na\0\r\nb\r\n--b\r\n\r\ntext\r\n--b--\r\n"
)
PREVIEWS = (
    b"Subject: x\r\n\r\nSome words\r\nand   more.\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>"
    b"<p>Some <b>words</b></p><p>and &lt;more&gt;</p></body></html>\r\n",
    b"Content-Type: image/png\r\n\r\nxx\r\n",
    b"Subject: x\r\n\r\n" + b"word " * 100,
)


def made(client: Client) -> dict[str, object]:
    found: dict[str, object] = {}
    client.append("INBOX", SOURCE)
    client.ok("SELECT INBOX")
    for section in SECTIONS:
        text = b"Subject: new\r\n\r\n"
        url = f'URL "/INBOX/;UID=1{section}"'.encode()
        answer = client.run(b"APPEND INBOX CATENATE (TEXT {%d+}\r\n%b %b TEXT {3+}\r\nend)" % (len(text), text, url))
        assert answer.kind == "OK", (section, answer)
        found[section] = client.fetch(f"{answer.data.split()[1]} BODY.PEEK[]").popitem()[1].items["BODY[]"]
    # A section that is not there is BADURL here, and no octets there.
    for bad in ("/INBOX/;UID=99", "/Nowhere/;UID=1", "/INBOX;UIDVALIDITY=1/;UID=1"):
        answer = client.run(f'APPEND INBOX CATENATE (URL "{bad}")')
        found[bad] = (answer.kind, answer.code)
    uid = client.append("INBOX", BINARY)
    one = client.fetch(f"{uid} (BINARY.SIZE[1] BINARY.PEEK[1] BINARY.PEEK[2])")[uid].items
    found["binary"] = {name: value for name, value in one.items() if name.startswith("BINARY")}
    assert b"\0" not in client.fetch(f"{uid} BODY.PEEK[]")[uid].items["BODY[]"]  # type: ignore[operator]
    for mail in PREVIEWS:
        uid = client.append("INBOX", mail)
        found[f"preview of {mail[:50]!r}"] = client.fetch(f"{uid} PREVIEW")[uid].items["PREVIEW"]
    return found


def test_both_make_the_same(world_folder: Path, server: Server, account: str) -> None:
    (world_folder / "Maildir" / "cur").mkdir(parents=True)
    for name in ("new", "tmp"):
        (world_folder / "Maildir" / name).mkdir()
    with Dovecot(world_folder) as other:
        theirs = made(other)
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        ours = made(one)
    assert ours == theirs
