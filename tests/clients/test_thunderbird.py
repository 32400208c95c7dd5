"""Debian's Thunderbird: it sets itself up from a bare address, and lives beside another client of the same account."""

import base64
import copy
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.thunderbird import Thunderbird
from tests.support.corpus import mails
from tests.support.imap import Client
from tests.support.recording import Recorder
from tests.support.responses import Response
from tests.support.server import PASSWORD, Server
from tests.support.transcript import exchanges

pytestmark = pytest.mark.clients

MAIL = (
    b"From: Carol <carol@far.test>\r\nTo: me@a.test\r\nSubject: mail %d\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <%d@far.test>\r\n\r\nThis is mail %d.\r\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("thunderbird") is None:
        pytest.skip("thunderbird is not installed (make test-clients installs it)")
    one = Server(tmp_path_factory.mktemp("thunderbird"), users=("alice", "bob", "carol"))
    one.provision()
    one.start()
    yield one
    one.stop()


def deliver(server: Server, user: str, subject: str, text: str = "x") -> None:
    mail = f"From: x@far.test\r\nTo: {user}@a.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far.test>\r\n\r\n{text}\r\n"
    with server.smtp() as client:
        client.sendmail("x@far.test", [f"{user}@a.test"], mail)


def other(server: Server, user: str, mailbox: str = "INBOX") -> Client:
    one = Client(server.ports["imap"])
    one.login(f"{user}@a.test", PASSWORD)
    one.ok(f"SELECT {mailbox}")
    return one


def push(server: Server, client: Thunderbird, user: str, subject: str) -> None:
    """Its IDLE begins two seconds after its last command: of what it is told between the two it thinks when it hears more."""
    for number in range(10):
        deliver(server, user, f"{subject}{number}")
        if client.comes("INBOX", f"{subject}0", 3):
            return
    raise AssertionError(f"{subject} did not come")


def kept(octets: object) -> list[object]:
    """What thunderbird.js says of a message: Thunderbird ends all lines by CRLF, and its store is an mbox."""
    assert isinstance(octets, bytes)
    octets = re.sub(rb"\r\n|\r|\n", b"\r\n", octets).rstrip(b"\r\n")
    octets = re.sub(rb"(?m)^>+From ", b"From ", octets)
    return [len(octets), base64.b64encode(hashlib.sha256(octets).digest()).decode()]


def eventually(look: Callable[[], bool]) -> None:
    """What a program does by and by, seen from outside."""
    end = time.monotonic() + 30
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def idling(client: Client) -> Iterator[Callable[[Callable[[Response], bool]], None]]:
    """What is given waits for an untagged response, as long as it takes."""

    def hears(look: Callable[[Response], bool]) -> None:
        while not look(client.next()):
            pass

    tag = client.tag()
    client.send(f"{tag} IDLE\r\n".encode())
    hears(lambda one: one.kind == "+")
    yield hears
    client.send(b"DONE\r\n")
    client.answer(tag)


def marked(number: int, *flags: str) -> Callable[[Response], bool]:
    return lambda one: one.kind == "FETCH" and one.number == number and set(flags) <= set(one.items["FLAGS"])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alice(home: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thunderbird]:
    """Set up as a person does it: address and password, nothing else."""
    for subject in ("one", "two", "three"):
        deliver(home, "alice", subject, "a needle in a haystack" if subject == "one" else "hay")
    with Thunderbird(tmp_path_factory.mktemp("alice"), home) as one:
        one.trust((home.data / "tls" / "ca.pem").read_text())
        told = one.setUp("alice@a.test", PASSWORD).replace(", username: %EMAILADDRESS%, password: not set", "")
        assert told.splitlines()[:3] == [
            "xml-from-isp-http",
            f"Incoming: imap, mail.a.test:{home.ports['imaps']}, SSL, auth: plain",
            f"Outgoing: smtp, mail.a.test:{home.ports['submissions']}, SSL, auth: plain",
        ]
        one.open("INBOX")
        one.shown("INBOX", 3)
        yield one


def test_a_new_mail_is_there_at_once(home: Server, alice: Thunderbird) -> None:
    """By IDLE: nobody asks."""
    push(home, alice, "alice", "pushed")
    with other(home, "alice") as client:
        client.ok("UID STORE 4 +FLAGS (\\Deleted)")
        client.ok("UID EXPUNGE 4")
    alice.goes("INBOX", "pushed0")


def test_flags_and_tags_go_both_ways(home: Server, alice: Thunderbird) -> None:
    with other(home, "alice") as client:
        client.ok("UID STORE 1 +FLAGS (\\Flagged \\Answered $label2 travel)")
        assert set(alice.marks("INBOX", "one", ["starred", "answered", "$label2", "travel"])) >= {"starred"}
        with idling(client) as hears:
            alice.command("INBOX", "two", "cmd_markAsFlagged")
            alice.tag("INBOX", "two", "$label1")
            hears(marked(2, "\\Flagged", "$label1"))
            alice.command("INBOX", "three", "cmd_markAsJunk")
            hears(marked(3, "Junk"))


def test_it_searches_on_the_server(alice: Thunderbird) -> None:
    assert alice.search("INBOX", "a needle") == ["one"]


def test_folders_are_made_filled_and_renamed(home: Server, alice: Thunderbird) -> None:
    alice.create("Projéts")
    alice.transfer("INBOX", "two", "Projéts", True)
    alice.transfer("INBOX", "one", "Projéts", False)
    alice.goes("INBOX", "two")
    alice.rename("Projéts", "R&D")
    alice.open("R&D")
    assert alice.shown("R&D", 2) == ["one", "two"]
    alice.command("R&D", "one", "cmd_deleteMessage")
    alice.goes("R&D", "one")
    with other(home, "alice", "R&-D") as client:
        eventually(lambda: client.ok("NOOP") is not None and len(client.fetch("1:* UID")) == 1)
        client.ok("SELECT Trash")
        (found,) = client.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert b"one" in found.items["BODY[HEADER.FIELDS (SUBJECT)]"]
    assert {"Archives", "Drafts", "Inbox", "R&D", "Sent", "Trash"} <= set(alice.folders())


def test_what_it_sends_arrives_and_is_in_sent(home: Server, alice: Thunderbird, tmp_path: Path) -> None:
    """Ten megabytes, up by submission and APPEND, and down again."""
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(10 << 20))
    alice.open("INBOX")
    alice.send("alice@a.test", "Grüße", "Schöne Grüße", str(big))
    assert alice.comes("INBOX", "Grüße")
    size, digest = alice.source("INBOX", "Grüße")
    with other(home, "alice") as client:
        (uid,) = client.ok("UID SEARCH SUBJECT Gr")[0].value
        octets = client.fetch(f"{uid} (RFC822.SIZE BODY.PEEK[])")[uid].items["BODY[]"]
        assert [size, digest] == kept(octets)
        client.ok("SELECT Sent")
        (sent,) = client.ok("UID FETCH 1:* (FLAGS RFC822.SIZE)")
        assert "\\Seen" in sent.items["FLAGS"]
        assert sent.items["RFC822.SIZE"] > 13 << 20


def a_day_of(server: Server, user: str, folder: Path) -> None:
    """All that a person does with it in a day, without TLS: its commands can be written down."""
    with other(server, user) as client, Thunderbird(folder, server) as one:
        client.ok("CREATE Entw&APw-rfe")
        client.ok("SUBSCRIBE Entw&APw-rfe")
        for number in range(3):
            client.append("INBOX", MAIL % (number, number, number))
        one.setUp(f"{user}@a.test", PASSWORD, "", server.ports["imap"])
        one.open("INBOX")
        one.shown("INBOX", 3)
        with idling(client) as hears:
            one.command("INBOX", "mail 1", "cmd_markAsFlagged")
            one.tag("INBOX", "mail 1", "$label1")
            hears(marked(2, "\\Flagged", "$label1"))
        client.ok("UID STORE 1 +FLAGS (\\Answered $label2)")
        one.marks("INBOX", "mail 0", ["answered", "$label2"])
        one.create("R&D — neu")
        one.transfer("INBOX", "mail 0", "R&D — neu", True)
        one.transfer("INBOX", "mail 1", "R&D — neu", False)
        one.rename("R&D — neu", "Grüße & so")
        one.open("Grüße & so")
        one.shown("Grüße & so", 2)
        assert one.search("INBOX", "mail 2") == ["mail 2"]
        client.ok('SELECT "Gr&APwA3w-e &- so"')
        with idling(client) as hears:
            one.command("Grüße & so", "mail 1", "cmd_deleteMessage")
            hears(lambda one: one.kind == "EXPUNGE")


def test_it_compresses_and_takes_utf8(home: Server, tmp_path: Path) -> None:
    """No command of it is refused, save one: it looks again at a folder that it just renamed."""
    through = copy.copy(home)
    with Recorder(home.ports["imap"]) as recorder:
        through.ports = {**home.ports, "imap": recorder.port}
        a_day_of(through, "carol", tmp_path)
        asked = recorder.said()
    for command in ("COMPRESS DEFLATE", "ENABLE UTF8=ACCEPT", 'create "R&D — neu"', "IDLE"):
        assert command.encode() in asked
    refused = [one.command for one in exchanges(recorder.heard) if one.kind != "OK"]
    assert [command for command in refused if not command.startswith("select")] == []


def test_starttls_offline_and_a_restart(home: Server, tmp_path: Path) -> None:
    """A folder of some hundred hard mails into its own store; then the server is started anew, and it goes on by itself."""
    chosen = mails()
    with other(home, "bob") as client, Thunderbird(tmp_path, home) as bob:
        for _, octets in chosen:
            client.append("INBOX", octets)
        bob.trust((home.data / "tls" / "ca.pem").read_text())
        bob.setUp("bob@a.test", PASSWORD, "alwaysSTARTTLS")
        bob.open("INBOX")
        bob.shown("INBOX", len(chosen))
        store = bob.download("INBOX")
        told = client.fetch("1:* (RFC822.SIZE BODY.PEEK[])")
        wrong = [chosen[uid - 1][0] for uid, one in told.items() if store.get(str(uid)) != kept(one.items["BODY[]"])]
        assert wrong == []
        home.stop()
        home.start()
        deliver(home, "bob", "after")
        bob.look("INBOX")
        assert bob.comes("INBOX", "after")
        push(home, bob, "bob", "later")
