"""import-imap: what other servers say is read, and mail is pulled from one of ours."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mailstack.cli import pulling
from mailstack.cli.imap_source import Fetched, Folder, ImapSource, Listed, Login, moment
from mailstack.store.importing.pulled import Origin, Pulled, Row
from tests.conftest import unused
from tests.support.console import Console
from tests.support.dovecot_account import facts
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (" 2-Jan-2024 10:00:00 +0000", 1704189600),
        ("02-Jan-2024 11:30:00 +0130", 1704189600),
        ("02-Jan-2024 10:00:00 -0000", 1704189600),
        ("02-Foo-2024 10:00:00 +0000", None),
        ("99-Jan-2024", None),
        ("", None),
    ],
)
def test_dates(text: str, seconds: int | None) -> None:
    assert moment(text) == seconds


@pytest.mark.parametrize(
    ("line", "prefix", "wanted"),
    [
        (b'(\\HasNoChildren) "/" INBOX', b"", Folder(b"INBOX", "INBOX", None)),
        (b'(\\HasNoChildren \\Sent) "." "INBOX.Gesendet"', b"INBOX.", Folder(b"INBOX.Gesendet", "Gesendet", "\\Sent")),
        (b'() "/" "Entw&APw-rfe/x \\"y\\""', b"", Folder(b'Entw&APw-rfe/x "y"', 'Entwürfe/x "y"', None)),
        (b'(\\All \\HasNoChildren) "/" "[Gmail]/All Mail"', b"", Folder(b"[Gmail]/All Mail", "All Mail", None, "\\All")),
        (b'(\\Noselect) "/" "[Gmail]"', b"", None),
        (b"() NIL x", b"", Folder(b"x", "x", None)),
        (b'() "\\\\" "a\\\\b"', b"", Folder(b"a\\b", "a/b", None)),
        ((b'() "/" {5}', b'a "b"'), b"", Folder(b'a "b"', 'a "b"', None)),
        (b'() "." "a/b.c"', b"", Folder(b"a/b.c", "a_b/c", None)),
        (b"nonsense", b"", None),
        (None, b"", None),
    ],
)  # fmt: skip
def test_folders(line: Any, prefix: bytes, wanted: Folder | None) -> None:
    assert ImapSource._folder(None, line, prefix) == wanted  # type: ignore[arg-type]


def test_what_was_pulled_is_remembered(tmp_path: Path) -> None:
    pulled, origin = Pulled(tmp_path), Origin("a@b", "INBOX", 7)
    rows = [Row(1, 10, "x", "INBOX", ""), Row(5, 11, "y", "Old", "\\seen")]
    pulled.add(origin, rows)
    pulled.add(origin, rows[:1])
    assert pulled.rows(origin) == rows
    pulled.mark(origin, {1: "work"})
    assert pulled.rows(origin)[0].flags == "work"
    assert pulled.rows(Origin("a@b", "INBOX", 8)) == []
    assert pulled.digests(Origin("a@b", "INBOX", 8)) == {"x", "y"}
    assert pulled.digests(origin) == pulled.digests(Origin("a@c", "INBOX", 8)) == set()


def test_from_ourselves(server: Server, account: str, tmp_path: Path) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok('CREATE "Archive/Gr&APw-n"')
        for number in range(20):
            one.append('"Archive/Gr&APw-n"', b"Subject: %d\r\n\r\n\0 binary\r\n" % number, "(\\Flagged $Label1 x)")
        one.append("Sent", b"Subject: mine\r\n\r\n", "(\\Seen)")
    other = unused(server)
    source = ("--from", f"{account}@a.test@localhost", "--password-stdin", "--starttls", "--port", str(server.ports["imap"]))
    refused = Console(server).run("import-imap", f"{other}@a.test", *source, stdin=PASSWORD, check=False)
    assert "its certificate is not valid" in refused.stderr, refused
    plain = ("--from", f"{account}@a.test@localhost", "--password-stdin", "--plain", "--port", str(server.ports["imap"]))
    said = Console(server).run("import-imap", f"{other}@a.test", *plain, stdin=PASSWORD).stdout
    assert "21 messages came" in said, said
    with Client(server.ports["imap"]) as one:
        one.login(f"{other}@a.test", PASSWORD)
        found = facts(one, ["Sent", "Archive/Gr&APw-n"])
    assert [len(rows) for _, _, rows in found.values()] == [1, 20]
    assert next(iter(found["Archive/Gr&APw-n"][2].values()))[0] == {"\\Flagged", "$Label1", "x"}


def test_what_is_wrong_is_said(server: Server, account: str) -> None:
    common = ("import-imap", f"{account}@a.test", "--password-stdin")
    for arguments, code, reason in (
        (("--from", "nobody"), 2, "user@imap.host"),
        (("--from", "a@far.test", "--plain"), 2, "only from this machine"),
        (("--from", "a@localhost", "--plain", "--port", "1"), 1, "localhost: "),
        (("--from", "a@localhost", "--plain", "--port", str(server.ports["imap"])), 1, "login of a"),
    ):
        ended = Console(server).run(*common, *arguments, stdin="x", check=False)
        assert (ended.returncode, reason in ended.stderr) == (code, True), ended


class Gmail:
    """As Gmail shows itself: labels are folders, and All Mail has all of them and more."""

    gmail = True
    ALL = Folder(b"[Gmail]/All Mail", "All Mail", None, "\\All")
    STARRED = Folder(b"[Gmail]/Starred", "Starred", None, "\\Flagged")
    SENT = Folder(b"[Gmail]/Gesendet", "Gesendet", "\\Sent")
    FOLDERS: ClassVar = {Folder(b"INBOX", "INBOX", None): (1, 2), SENT: (3,), ALL: (1, 2, 3, 4), STARRED: (1,)}

    def __init__(self, login: Login) -> None:
        self.chosen: tuple[int, ...] = ()

    def folders(self) -> list[Folder]:
        return list(self.FOLDERS)

    def examine(self, folder: Folder) -> int:
        self.chosen = self.FOLDERS[folder]
        return 7

    def listing(self) -> list[Listed]:
        return [Listed(uid, len(self.text(number)), ("\\Seen",), number) for uid, number in enumerate(self.chosen, 1)]

    def text(self, number: int) -> bytes:
        return b"Subject: %d\r\n\r\n" % number

    def fetch(self, uids: list[int]) -> list[Fetched]:
        return [Fetched(uid, ("\\Seen",), 1.7e9, self.text(self.chosen[uid - 1])) for uid in uids]

    def close(self) -> None:
        pass


def test_gmail_gives_each_message_once(server: Server, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "ImapSource", Gmail)
    arguments = ("import-imap", f"{account}@a.test", "--from", "a@gmail.test@imap.gmail.test", "--password-stdin", "--json")
    rows = json.loads(Console(server).run(*arguments, stdin="x").stdout)
    assert [(row["folder"], row["mailbox"], row["came"], row["wrong"]) for row in rows[:3]] == [
        ("INBOX", "INBOX", 2, []), ("[Gmail]/Gesendet", "Sent", 1, []), ("[Gmail]/All Mail", "Archive", 1, []),
    ]  # fmt: skip
    assert "not fetched" in rows[3]["mailbox"]
    again = json.loads(Console(server).run(*arguments, stdin="x").stdout)
    assert [(row["came"], row["known"]) for row in again[:3]] == [(0, 2), (0, 1), (0, 1)]
