"""A running server: what goes into Junk, what is refused and rescued, and what moving messages teaches."""

import json
import smtplib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.server import Server

SETTINGS = """
[spam]
junk = 1.5
refuse = 4.5
weights = ["no-date 2", "no-from 3"]
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("strict"), users=("alice", "bob"), settings=SETTINGS)
    one.provision()
    one.start()
    yield one
    one.stop()


def message(*fields: str, words: str = "Hello") -> str:
    return "\r\n".join([*fields, "To: alice@a.test", f"Subject: {words}", "Message-ID: <1@far.example>", "", words, ""])


FROM, DATE = "From: carol@far.example", f"Date: {formatdate()}"


def send(server: Server, text: str, *to: str) -> None:
    with server.smtp() as client:
        client.sendmail("carol@far.example", to or ("alice@a.test",), text)


def newest(server: Server, mailbox: str, user: str = "alice", words: str = "") -> bytes:
    client = server.imap(user)
    client.select(mailbox)
    number = client.search(None, f'SUBJECT "{words}"' if words else "ALL")[1][0].split()[-1]
    found = client.fetch(number, "(BODY.PEEK[] FLAGS)")[1]
    client.logout()
    return b"".join(piece if isinstance(piece, bytes) else b"".join(piece) for piece in found if piece is not None)


def test_ordinary_mail_comes_with_its_evidence_and_without_forgeries(strict: Server) -> None:
    send(strict, message(FROM, DATE, "X-Spam-Status: No, score=-99", "X-Spam-Flag: NO"))
    found = newest(strict, "INBOX")
    assert found.count(b"X-Spam-Status:") == 1
    assert b"X-Spam-Status: No, score=0.0 required=1.5 tests=[]" in found
    assert b"X-Spam-Flag" not in found


def test_what_looks_unwanted_goes_into_junk(strict: Server) -> None:
    send(strict, message(FROM, words="junk"), "alice@a.test", "bob@a.test")
    for user in ("alice", "bob"):
        found = newest(strict, "Junk", user)
        assert b"Subject: junk" in found
        assert b"X-Spam-Status: Yes, score=2.0 required=1.5 tests=[no-date=2.0]" in found


def test_what_is_refused_can_be_seen_and_rescued_and_teaches(strict: Server) -> None:
    seen = len(strict.events("spam.learned"))
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(strict, message(words="refused"))
    assert refused.value.smtp_code == 550
    assert refused.value.smtp_error.startswith(b"5.7.1 This looks like unwanted mail (")
    found = newest(strict, "Rejects")
    assert b"$Refused" in found
    assert b"X-Refused: yes, the sender was told: 550 5.7.1" in found
    assert b"tests=[no-from=3.0,no-date=2.0]" in found.replace(b",\r\n", b",").replace(b", ", b",")
    client = strict.imap("alice")
    client.select("Rejects")
    client.uid("MOVE", "1:*", "INBOX")
    client.logout()
    assert strict.wait_for_event("spam.learned", seen)["junk"] is False


def test_moving_to_junk_and_back_teaches(strict: Server) -> None:
    seen = len(strict.events("spam.learned"))
    send(strict, message(FROM, DATE, words="lesson"))
    client = strict.imap("alice")
    client.select("INBOX")
    uid = client.uid("SEARCH", "SUBJECT", "lesson")[1][0].split()[-1]
    client.uid("MOVE", uid, "Junk")
    assert strict.wait_for_event("spam.learned", seen)["junk"] is True
    client.select("Junk")
    uid = client.uid("SEARCH", "SUBJECT", "lesson")[1][0].split()[-1]
    client.uid("COPY", uid, "INBOX")
    assert strict.wait_for_event("spam.learned", seen + 1)["junk"] is False
    client.select("INBOX")
    uid = client.uid("SEARCH", "SUBJECT", "lesson")[1][0].split()[-1]
    client.uid("STORE", uid, "+FLAGS", "($Junk)")
    assert strict.wait_for_event("spam.learned", seen + 2)["junk"] is True
    client.uid("STORE", uid, "-FLAGS", "($Junk)")
    assert strict.wait_for_event("spam.learned", seen + 3)["junk"] is None
    client.logout()


def test_whom_somebody_wrote_to_comes_through(strict: Server) -> None:
    text = message("From: dave@near.example", words="answer")
    with strict.submission("bob") as client:
        client.sendmail("bob@a.test", ["dave@near.example"], message("From: bob@a.test", DATE, words="question"))
    with strict.smtp() as client:
        client.sendmail("dave@near.example", ["bob@a.test"], text)
    found = newest(strict, "INBOX", "bob", "answer")
    assert b"correspondent=-3.0" in found


def test_commands_teach_and_explain(strict: Server, tmp_path: Path) -> None:
    client = strict.imap("bob")
    client.create("Old")
    for number in range(3):
        client.append("Old", None, None, message(FROM, DATE, words=f"old news {number}").encode())
    client.logout()
    assert (
        "3 messages of Old; bob@a.test has learned 0 unwanted and 3 wanted ones"
        in strict.run("spam", "train", "bob@a.test", "Old", "--ham").stdout
    )
    (row,) = json.loads(strict.run("spam", "stats", "bob@a.test", "--json").stdout)
    assert (row["junk"], row["wanted"], row["speaks"]) == (0, 3, False)
    file = tmp_path / "one.eml"
    file.write_text(message(FROM, "X-Spam-Status: Yes, score=2.0 required=1.5 tests=[no-date=2.0]", words="old news"))
    shown = strict.run("spam", "explain", str(file), "--account", "bob@a.test").stdout
    assert "When it came: 2.0 of 1.5: no-date +2.0" in shown
    assert "has no Date" in shown
    assert "subject:news" in shown
    refused = strict.run("spam", "train", "bob@a.test", "None", "--junk", check=False)
    assert (refused.returncode, refused.stderr) == (1, "mailstack: there is no mailbox 'None'\n")
