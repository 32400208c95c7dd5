"""Shared mailboxes through time: restarts, accounts that go and come, everybody, quotas, and failures on the way."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import unused
from tests.support.console import Console
from tests.support.imap import Client
from tests.support.responses import Response
from tests.support.server import PASSWORD, Server


def client(server: Server, user: str) -> Client:
    one = Client(server.ports["imap"])
    one.login(user if "@" in user else f"{user}@a.test", PASSWORD)
    return one


def named(line: Response) -> str:
    assert isinstance(line.value, bytes)
    return line.value.decode()


def words(line: Response) -> list[str]:
    assert isinstance(line.value, list)
    return [word.decode() for word in line.value if isinstance(word, bytes)]


def shown(one: Client) -> list[str]:
    """What others share with this one."""
    lines = one.ok('LIST "" "Shared/*"')
    return [named(line) for line in lines if not {"\\Noselect", "\\NonExistent"} & set(line.items["attributes"])]  # type: ignore[arg-type]


def test_rights_outlive_kills_and_go_with_their_mailbox(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.provision()
    server.start()
    with client(server, "alice") as alice:
        for name in ("Team", "Gone", "Closed"):
            alice.ok(f"CREATE {name}")
            alice.ok(f"SETACL {name} bob@a.test lr")
        alice.ok("RENAME Team Crew")
        alice.ok("DELETE Gone")
        alice.ok("CREATE Gone")
        alice.ok("DELETEACL Closed bob@a.test")
    server.kill()
    server.start()
    with client(server, "bob") as bob:
        assert shown(bob) == ["Shared/alice@a.test/Crew"]
        assert bob.run("SELECT Shared/alice@a.test/Closed").code == "NONEXISTENT"
    # Without an index and without the table, after a repair: the files say it.
    server.stop()
    (server.data / "mail/a.test/alice/index.sqlite3").unlink()
    with contextlib.closing(sqlite3.connect(server.data / "mailstack.sqlite3")) as database:
        assert database.execute("DELETE FROM share").rowcount == 1
        database.commit()
    Console(server).run("repair")
    server.start()
    with client(server, "bob") as bob:
        assert shown(bob) == ["Shared/alice@a.test/Crew"]
    server.stop()


def test_who_comes_back_inherits_nothing(server: Server, account: str) -> None:
    console, owner, friend = Console(server), f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one:
        one.ok(f"SETACL INBOX {friend} lr")
        console.run("user", "remove", friend)
        assert words(one.ok("GETACL INBOX")[0]) == ["INBOX", owner, "lrswipkxtecda"]
        console.run("user", "add", friend, "--password-stdin", stdin=PASSWORD + "\n")
        assert words(one.ok("GETACL INBOX")[0]) == ["INBOX", owner, "lrswipkxtecda"]
        with client(server, friend) as other:
            assert shown(other) == []
            assert other.run(f"SELECT Shared/{owner}/INBOX").code == "NONEXISTENT"
            one.ok(f"SETACL INBOX {friend} l")
            assert shown(other) == [f"Shared/{owner}/INBOX"]
            assert other.run(f"SELECT Shared/{owner}/INBOX").code == "NOPERM"


@pytest.mark.parametrize("command", ["disable", "remove"])
def test_an_owner_who_goes_closes_his_mailboxes(server: Server, account: str, command: str) -> None:
    console, owner, friend = Console(server), f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one:
        one.ok(f"SETACL INBOX {friend} lrswi")
    with client(server, friend) as idle, client(server, friend) as busy, client(server, friend) as other:
        for each in (idle, busy):
            each.ok(f"SELECT Shared/{owner}/INBOX")
        idle.send(b"i IDLE\r\n")
        assert idle.next().kind == "+"
        console.run("user", command, owner)
        for each in (idle, busy):
            assert each.next().kind == "BYE"
            with pytest.raises(EOFError):
                each.next()
        assert shown(other) == []
        for text in ("SELECT {}", "STATUS {} (MESSAGES)", "APPEND {} {{3+}}\r\nabc", "MYRIGHTS {}", "CREATE {}/x"):
            assert other.run(text.format(f"Shared/{owner}/INBOX")).code == "NONEXISTENT"
        if command == "remove":
            console.run("user", "add", owner, "--password-stdin", stdin=PASSWORD + "\n")
            assert shown(other) == []
        else:
            console.run("user", "enable", owner)
            assert shown(other) == [f"Shared/{owner}/INBOX"]


def test_anyone_only_where_the_server_allows_it(tmp_path: Path) -> None:
    server = Server(tmp_path, settings="[sharing]\nanyone = true\n")
    server.provision()
    server.start()
    with client(server, "alice") as alice, client(server, "bob") as bob:
        alice.ok("CREATE News")
        alice.ok("SETACL News anyone lr")
        assert words(alice.ok("LISTRIGHTS News anyone")[0]) == ["News", "anyone", "", *"lrswipkxtecda"]
        assert shown(bob) == ["Shared/alice@a.test/News"]
        # What is denied to one is not given by all.
        alice.ok("SETACL News -bob@a.test r")
        assert bob.run("SELECT Shared/alice@a.test/News").code == "NOPERM"
        alice.ok("DELETEACL News -bob@a.test")
        bob.ok("SELECT Shared/alice@a.test/News")
    server.stop()
    text = server.configuration.read_text()
    server.configuration.write_text(text.replace("anyone = true", "anyone = false"))
    server.start()
    with client(server, "bob") as bob, client(server, "alice") as alice:
        assert shown(bob) == []
        assert bob.run("SELECT Shared/alice@a.test/News").code == "NONEXISTENT"
        alice.ok("DELETEACL News anyone")
    server.stop()


def test_the_owners_quota_counts(server: Server, account: str) -> None:
    console, owner, friend = Console(server), f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one:
        one.ok(f"SETACL INBOX {friend} lrswite")
    console.run("user", "quota", owner, "10KiB")
    with client(server, friend) as other:
        for _ in range(3):
            other.append("INBOX", b"x" * 4096)
        other.ok("SELECT INBOX")
        for text in ("COPY 1:3 {}", "MOVE 1:3 {}"):
            assert other.run(text.format(f"Shared/{owner}/INBOX")).code == "OVERQUOTA"
        other.ok(f"COPY 1:2 Shared/{owner}/INBOX")
        assert other.run(f"MOVE 3 Shared/{owner}/INBOX").code == "OVERQUOTA"
        assert len(other.fetch("1:* FLAGS")) == 3
        # The other way it is his own quota, and a friend's has none.
        other.ok(f"SELECT Shared/{owner}/INBOX")
        other.ok("MOVE 1:2 Archive")
        assert other.ok("STATUS Archive (MESSAGES)")[0].items["MESSAGES"] == 2


def test_large_messages_and_many_go_across_as_they_are(server: Server, account: str) -> None:
    owner, friend = f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one, client(server, friend) as other:
        one.ok(f"SETACL INBOX {friend} lrswite")
        large = b"Subject: large\r\n\r\n" + b"0123456789abcdef\n" * 200_000
        sent = [large, *(b"Subject: %d\r\n\r\nbare\nlines\0\r\n" % number for number in range(60))]
        for data in sent:
            other.append("INBOX", data)
        other.ok("SELECT INBOX")
        dates = {uid: row.items["INTERNALDATE"] for uid, row in other.fetch("1:* INTERNALDATE").items()}
        answer = other.run(f"MOVE 61,1:60 Shared/{owner}/INBOX")
        assert answer.kind == "OK"
        assert other.ok("STATUS INBOX (MESSAGES)")[0].items["MESSAGES"] == 0
        one.ok("SELECT INBOX")
        rows = one.fetch("1:* (BODY.PEEK[] INTERNALDATE)")
        assert [rows[uid].items["BODY[]"] for uid in sorted(rows)] == [data.replace(b"\0", b"\x80") for data in sent]
        assert {uid: row.items["INTERNALDATE"] for uid, row in rows.items()} == dates


def test_a_name_of_ones_own_below_shared_stays(server: Server, account: str) -> None:
    with client(server, account) as one:
        one.ok("CREATE Shared/Projects")
        one.append("Shared/Projects", b"abc")
        assert shown(one) == ["Shared/Projects"]
        # One's own address leads nowhere there.
        assert one.run(f"SELECT Shared/{account}@a.test/INBOX").code == "NONEXISTENT"
        assert one.run(f"CREATE Shared/{account}@a.test/x").code == "NONEXISTENT"


def test_answers_to_searches_are_in_the_shared_mailbox(server: Server, account: str) -> None:
    """One small tour of what works in a mailbox that is open to another, by the name that he knows."""
    owner, friend = f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one, client(server, friend) as other:
        one.append("INBOX", b"Subject: needle\r\n\r\nhay\r\n")
        one.ok(f"SETACL INBOX {friend} lr")
        other.ok("ENABLE IMAP4rev2")
        heard = other.ok(f"SELECT Shared/{owner}/INBOX")
        assert f"Shared/{owner}/INBOX" in [named(line) for line in heard if line.kind == "LIST"]
        assert [line.items.get("ALL") for line in other.ok("SEARCH SUBJECT needle") if line.kind == "ESEARCH"] == ["1"]
        assert re.match(rb"Subject: needle", bytes(other.fetch("1 BODY[]")[1].items["BODY[]"]))  # type: ignore[arg-type]
        assert other.run("STORE 1 +FLAGS (\\Seen)").kind == "NO"
        # As mutt writes it.
        other.ok(f"SELECT Shared/{owner.replace('.', '/')}/INBOX")
        assert other.run(f"SELECT Shared/{owner.replace('.', '/')}/Nothing").code == "NONEXISTENT"


def test_a_long_answer_ends_when_the_rights_do(server: Server, account: str) -> None:
    """A client that reads slowly does not keep what was taken back."""
    owner, friend = f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one, client(server, friend) as other:
        for number in range(40):
            one.append("INBOX", b"Subject: %d\r\n\r\n" % number + b"x" * 1_000_000)
        one.ok(f"SETACL INBOX {friend} lr")
        other.ok(f"EXAMINE Shared/{owner}/INBOX")
        other.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
        assert other.next().number == 1
        one.ok(f"DELETEACL INBOX {friend}")
        heard = b""
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                heard = heard[-1000:] + other.buffer
                other.buffer = b""
                other._more()
        assert b"f OK" not in heard


def test_the_owner_hears_no_news_of_what_is_not_mail(server: Server, account: str) -> None:
    """NOTIFY tells of messages and mailboxes; SETACL is neither."""
    owner, friend = f"{account}@a.test", f"{unused(server)}@a.test"
    with client(server, owner) as one, client(server, owner) as other:
        one.ok("NOTIFY SET (PERSONAL (MessageNew MessageExpunge MailboxName))")
        other.ok(f"SETACL Sent {friend} lr")
        other.ok(f"DELETEACL Sent {friend}")
        other.append("Drafts", b"abc")
        first = one.next()
        assert (first.kind, named(first)) == ("STATUS", "Drafts")
