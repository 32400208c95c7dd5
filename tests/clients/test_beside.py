"""Mail programs work in the Maildir of a running appliance while a session idles there: it is told, and UIDs stay."""

import os
import shutil
from pathlib import Path

import pytest

from tests.clients.test_clients import fill, run
from tests.support.imap import Client
from tests.support.responses import Response
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients


class Idler:
    """One session in IDLE, and what a client knows by what it was told."""

    def __init__(self, server: Server, account: str) -> None:
        self.client = Client(server.ports["imap"], seconds=60)
        self.client.login(f"{account}@a.test", PASSWORD)
        self.client.ok("SELECT INBOX")
        fetched = self.client.fetch("1:* FLAGS")
        self.view: list[tuple[int | None, frozenset[str]]] = [(uid, self.flags(one)) for uid, one in sorted(fetched.items())]
        self.client.send(b"idle IDLE\r\n")
        self.client.next()

    @staticmethod
    def flags(response: Response) -> frozenset[str]:
        return frozenset(str(one) for one in response.items["FLAGS"]) - {"\\Recent"}  # type: ignore[attr-defined]

    def hear(self) -> None:
        response = self.client.next()
        number = response.number or 0
        if response.kind == "EXPUNGE":
            del self.view[number - 1]
        elif response.kind == "EXISTS":
            self.view += [(None, frozenset())] * (number - len(self.view))
        elif response.kind == "FETCH":
            self.view[number - 1] = (self.view[number - 1][0], self.flags(response))

    def end(self) -> dict[int, frozenset[str]]:
        """What is there, which must be what was told."""
        self.client.send(b"DONE\r\n")
        while self.client.next().tag != "idle":
            pass
        fetched = self.client.fetch("1:* FLAGS")
        found = {uid: self.flags(one) for uid, one in sorted(fetched.items())}
        assert len(self.view) == len(found)
        for (uid, told), (there, flags) in zip(self.view, found.items(), strict=True):
            assert uid in (None, there)
            assert uid is None or told == flags
        self.client.socket.close()
        return found


def maildir_of(server: Server, account: str) -> Path:
    return server.data / "mail" / "a.test" / account / "Maildir"


def test_mutt_flags_and_deletes(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 5)
    if shutil.which("script") is None:
        pytest.skip("script (a terminal for mutt) is not installed")
    idler = Idler(server, account)
    (tmp_path / "muttrc").write_text(
        "set quit=yes\nset delete=yes\nset wait_key=no\nset mark_old=no\nset move=no\nset mbox_type=Maildir\n"
        f"set folder={tmp_path}\n"
        'push "<first-entry><flag-message><next-entry><delete-message><quit>"\n'
    )
    run(
        "script",
        "-qec",
        f"TERM=xterm mutt -n -F {tmp_path}/muttrc -f {maildir_of(server, account)}",
        "/dev/null",
        home=tmp_path,
    )
    while len(idler.view) > 4 or not any("\\Flagged" in flags for _, flags in idler.view):
        idler.hear()
    found = idler.end()
    assert len(found) == 4
    assert set(found) < {1, 2, 3, 4, 5}, "UIDs stay"
    assert sum("\\Flagged" in flags for flags in found.values()) == 1


def test_notmuch_synchronises_flags(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 6)
    idler = Idler(server, account)
    (tmp_path / ".notmuch-config").write_text(
        f"[database]\npath={tmp_path}/database\nmail_root={maildir_of(server, account)}\n"
        "[user]\nname=x\nprimary_email=x@a.test\n"
        "[new]\ntags=unread\nignore=.mailstack;dovecot-keywords;subscriptions;maildirfolder\n[maildir]\nsynchronize_flags=true\n"
    )
    (tmp_path / "database").mkdir()
    run("notmuch", "new", home=tmp_path)
    run("notmuch", "tag", "+flagged", "-unread", "--", "subject:mail", home=tmp_path)
    while not all({"\\Flagged", "\\Seen"} <= flags for _, flags in idler.view):
        idler.hear()
    assert list(idler.end()) == [1, 2, 3, 4, 5, 6]


def test_mbsync_synchronises_the_living_maildir(server: Server, account: str, tmp_path: Path) -> None:
    """It writes its own UIDs behind the names of our files."""
    fill(server, account, 4)
    idler = Idler(server, account)
    for part in ("cur", "new", "tmp"):
        (tmp_path / "other" / "INBOX" / part).mkdir(parents=True)
    (tmp_path / "other/INBOX/cur/1700000000.far.host:2,F").write_text("Subject: from far\n\nx\n")
    (tmp_path / "mbsyncrc").write_text(
        f"MaildirStore here\nInbox {maildir_of(server, account)}\nSubFolders Maildir++\n\n"
        f"MaildirStore there\nPath {tmp_path}/other/\nInbox {tmp_path}/other/INBOX\nSubFolders Verbatim\n\n"
        f"Channel all\nFar :here:\nNear :there:\nPatterns INBOX\nCreate Both\nExpunge Both\nSyncState {tmp_path}/state/\n"
    )
    (tmp_path / "state").mkdir()
    for _ in range(3):
        run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "-a", home=tmp_path)
    while len(idler.view) < 5:
        idler.hear()
    found = idler.end()
    assert len(found) == 5
    assert set(found) > {1, 2, 3, 4}, "UIDs stay"
    # A flag that is set here goes there, and one that is set there comes here; nothing is twice.
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        one.ok("UID STORE 1 +FLAGS (\\Answered)")
        one.ok("UID STORE 2 +FLAGS (\\Deleted)")
        one.ok("UID EXPUNGE 2")
        run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "-a", home=tmp_path)
        one.ok("NOOP")
        assert sorted(one.fetch("1:* FLAGS")) == sorted(set(found) - {2})
    there = [path.name for part in ("cur", "new") for path in (tmp_path / "other/INBOX" / part).iterdir()]
    assert len(there) == 4
    assert sum("R" in name.partition(":2,")[2] for name in there) == 1


def test_a_backup_is_put_over_it(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 6)
    maildir, backup = maildir_of(server, account), tmp_path / "backup"
    shutil.copytree(maildir, backup)
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        one.ok("STORE 1:3 +FLAGS (\\Seen)")
        one.ok("STORE 6 +FLAGS (\\Deleted)")
        one.ok("EXPUNGE")
    idler = Idler(server, account)
    run("cp", "-a", f"{backup}/cur/.", str(maildir / "cur"))
    while len(idler.view) < 6:
        idler.hear()
    found = idler.end()
    assert list(found)[:5] == [1, 2, 3, 4, 5], "UIDs stay"
    assert list(found)[5] > 6, "what was expunged comes back as another message"
    assert [uid for uid, flags in found.items() if "\\Seen" in flags] == [1, 2, 3], "flags that were changed since stay"


def test_deliveries_of_others(server: Server, account: str, tmp_path: Path) -> None:
    """As procmail and its like deliver: tmp/, then a rename into new/."""
    fill(server, account, 1)
    maildir = maildir_of(server, account)
    idler = Idler(server, account)
    for number in range(20):
        name = f"17000000{number:02}.{os.getpid()}_{number}.host"
        (maildir / "tmp" / name).write_text(f"Subject: {number}\n\nx\n")
        (maildir / "tmp" / name).rename(maildir / "new" / name)
    while len(idler.view) < 21:
        idler.hear()
    assert len(idler.end()) == 21
