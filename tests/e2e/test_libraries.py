"""The libraries that Python programs use: imaplib and aioimaplib, as their manuals say."""

import asyncio
import imaplib
import re
import ssl
import time

import aioimaplib

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

MANY = 600
AT_ONCE = 100  # messages of one answer, of 4 lines each: aioimaplib calls itself for each line, and ends at some 500


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_imaplib_by_starttls_and_by_tls(server: Server, account: str) -> None:
    plain = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20)
    plain.starttls(unverified())
    for one in (plain, imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=unverified(), timeout=20)):
        assert one.login(f"{account}@a.test", PASSWORD)[0] == "OK"
        assert one.select("INBOX")[0] == "OK"
        moment = time.time()
        status, data = one.append(
            "INBOX", "(\\Seen)", imaplib.Time2Internaldate(moment), "Subject: grüße\r\n\r\nx\r\n".encode()
        )
        assert status == "OK", data
        number = one.search(None, "ALL")[1][0].split()[-1].decode()
        assert one.fetch(number, "(RFC822)")[1][0][1] == "Subject: grüße\r\n\r\nx\r\n".encode()  # type: ignore[index]
        dated = one.fetch(number, "(INTERNALDATE FLAGS)")[1][0]
        assert isinstance(dated, bytes)
        assert imaplib.Internaldate2tuple(dated) == time.localtime(int(moment))
        assert b"\\Seen" in dated
        assert one.store(number, "+FLAGS", "\\Deleted")[0] == "OK"
        assert one.expunge() == ("OK", [number.encode()])
        assert one.getquotaroot("INBOX")[0] == "OK"
        assert one.namespace() == ("OK", [b'(("" "/")) (("Shared/" "/")) NIL'])
        assert one.unselect()[0] == "OK"
        assert one.logout()[0] == "BYE"


def test_imaplib_authenticates(server: Server, account: str) -> None:
    one = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20)
    assert one.authenticate("PLAIN", lambda _: f"\0{account}@a.test\0{PASSWORD}".encode())[0] == "OK"
    one.logout()


async def test_aioimaplib_idles_and_fetches_in_batches(server: Server, account: str) -> None:
    address = f"{account}@a.test"

    def fill() -> None:
        with Client(server.ports["imap"]) as one:
            one.login(address, PASSWORD)
            for first in range(0, MANY, 100):
                pieces = b"".join(
                    b" {%d+}\r\n%b" % (len(mail), mail)
                    for mail in (b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(first, first + 100))
                )
                one.ok(b"APPEND INBOX" + pieces)

    await asyncio.to_thread(fill)
    one = aioimaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], timeout=30, ssl_context=unverified())
    await one.wait_hello_from_server()
    assert (await one.login(address, PASSWORD)).result == "OK"
    assert (await one.select("INBOX")).result == "OK"
    subjects: list[int] = []
    for first in range(1, MANY + 1, AT_ONCE):
        answer = await one.uid("fetch", f"{first}:{first + AT_ONCE - 1}", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert answer.result == "OK"
        subjects += [int(found[1]) for line in answer.lines if (found := re.match(rb"Subject: (\d+)", bytes(line)))]
    assert subjects == list(range(MANY))
    waiting = await one.idle_start(timeout=30)
    with server.smtp() as client:
        client.sendmail("a@far.test", [address], b"Subject: pushed\r\n\r\nx\r\n")
    pushed = await one.wait_server_push(timeout=20)
    assert f"{MANY + 1} EXISTS".encode() in pushed
    one.idle_done()
    await asyncio.wait_for(waiting, 20)
    assert (await one.search("SUBJECT", "pushed")).lines[0] == str(MANY + 1).encode()
    assert (await one.uid("move", f"{MANY + 1}", "Trash")).result == "OK"
    assert (await one.logout()).result == "OK"
