"""Maildirs of other servers become an account's: whole or not at all, at every step."""

import asyncio
import gzip
import os
import random
from pathlib import Path

import pytest

from mailstack.store.disk import Disk
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder, SpecialUse
from mailstack.store.moving.door import Mover
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.moving.rules import ForeignScripts
from mailstack.store.moving.staging import Staging
from mailstack.store.moving.survey import look
from tests.support.faults import Stopped, StoppingDisk

Rows = dict[int, tuple[bytes, list[str], int]]  # text, keywords and flags, INTERNALDATE


def message(folder: Path, name: str, text: bytes, *, part: str = "cur", date: int = 1_600_000_000) -> None:
    for one in ("cur", "new", "tmp"):
        (folder / one).mkdir(parents=True, exist_ok=True)
    (folder / part / name).write_bytes(text)
    os.utime(folder / part / name, (date, date))


def dovecot(root: Path) -> None:
    """Two folders, one with a gap, keywords, a copy, one message that Dovecot has not seen."""
    message(root, "1.a.far,S=8,W=10:2,Sab", b"A: b\n\nx\n")
    message(root, "2.b.far:2,FR", b"A: crlf\r\n\r\n", date=1_600_000_100)
    message(root, "9.new.far", b"A: new\n\n", part="new", date=1_600_000_200)
    (root / "dovecot-uidlist").write_text("3 V77 N12\n3 :1.a.far,S=8,W=10\n7 :2.b.far\n")
    (root / "dovecot-keywords").write_text("0 $Label1\n1 work\n")
    sent = root / ".Gesendet"
    message(sent, "5.s.far:2,S", b"A: s\n\n")
    (sent / "dovecot-uidlist").write_text(f"3 V78 N9 G{'a' * 32}\n4 G{'b' * 32} :5.s.far\n")
    (root / ".Entw&APw-rfe" / "cur").mkdir(parents=True)


def staging(account: Path, disk: Disk | None = None, *, links: bool = True) -> Staging:
    return Staging(disk or Disk(), account, "here", random.Random(1), links=links)


def read(account: Path, names: tuple[str, ...]) -> dict[str, tuple[int, int, Rows]]:
    """By the store: UIDVALIDITY, UIDNEXT, messages."""

    async def run() -> dict[str, tuple[int, int, Rows]]:
        boxes, found = Mailboxes("mail.a.test"), {}
        one = await boxes.account(AccountFolder(account, account / "index.sqlite3"))
        for name in names:
            mailbox = await one.open(name)
            texts = await mailbox.read_many(list(mailbox.uids))
            rows: Rows = {}
            for place, uid in enumerate(mailbox.uids):
                words = [*mailbox.keyword_names(mailbox.flags[place]), str(mailbox.flags[place] & 63)]
                rows[uid] = (texts[uid], words, mailbox.dates[place])
            found[name] = (mailbox.uid_validity, mailbox.uid_next, rows)
            mailbox.release()
        found["uses"] = (0, 0, {0: (b"", sorted(f"{row.name} {row.special_use}" for row in await one.listing()), 0)})
        await boxes.close()
        return found

    return asyncio.run(run())


WANTED = {
    "INBOX": (
        77,
        13,
        {
            3: (b"A: b\r\n\r\nx\r\n", ["$Label1", "work", "1"], 1_600_000_000),
            7: (b"A: crlf\r\n\r\n", ["6"], 1_600_000_100),
            12: (b"A: new\r\n\r\n", ["0"], 1_600_000_200),
        },
    ),
    "Gesendet": (78, 9, {4: (b"A: s\r\n\r\n", ["1"], 1_600_000_000)}),
}


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("links", [True, False])
def test_uids_flags_dates_and_keywords_stay(tmp_path: Path, links: bool) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    dovecot(source)
    account.mkdir()
    before = tree(source)
    one = staging(account, links=links)
    staged = one.build(look(source))
    assert (staged.linked, staged.copied) == ((4, 0) if links else (0, 4))
    one.commit()
    found = read(account, ("INBOX", "Gesendet", "Entwürfe"))
    uses = found.pop("uses")[2][0][1]
    assert found.pop("Entwürfe")[0] > 78, "a folder without a list gets a UIDVALIDITY of its own"
    assert found == WANTED
    assert f"Gesendet {SpecialUse.SENT}" in uses
    assert f"Entwürfe {SpecialUse.DRAFTS}" in uses
    assert "Sent None" not in uses
    assert f"Trash {SpecialUse.TRASH}" in uses
    assert tree(source) == before, "the source stays as it was"


@pytest.mark.parametrize("stride", [61, pytest.param(1, marks=pytest.mark.crash)])
def test_a_stop_at_any_step_leaves_nothing_or_all(tmp_path: Path, stride: int) -> None:
    source = tmp_path / "old"
    dovecot(source)
    steps, ended = 0, False
    while not ended:
        account = tmp_path / f"account{steps}"
        account.mkdir()
        disk = StoppingDisk(steps)
        try:
            one = staging(account, disk, links=steps // stride % 2 == 0)
            one.build(look(source))
            one.commit()
            ended = True
        except Stopped:
            pass
        if not (account / "taken-over").exists():
            again = staging(account, links=steps // stride % 2 == 0)
            again.build(look(source))
            again.commit()
        if steps // stride % 8 == 0 or ended:
            found = read(account, ("INBOX", "Gesendet"))
            del found["uses"]
            assert found == WANTED, steps
        steps += stride
    assert steps > 60


def test_what_changed_between_two_tries(tmp_path: Path) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    dovecot(source)
    account.mkdir()
    staging(account).build(look(source))
    (source / "cur" / "1.a.far,S=8,W=10:2,Sab").rename(source / "cur" / "1.a.far,S=8,W=10:2,")
    (source / "cur" / "2.b.far:2,FR").unlink()
    one = staging(account)
    staged = one.build(look(source))
    assert (staged.linked, staged.found) == (1, 2)
    one.commit()
    _, _, rows = read(account, ("INBOX",))["INBOX"]
    assert {uid: words for uid, (_, words, _) in rows.items()} == {3: ["0"], 12: ["0"]}


def test_an_account_with_mail_keeps_it(tmp_path: Path) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    dovecot(source)
    one = staging(account)
    account.mkdir()
    one.build(look(source))
    message(account / "Maildir", "1.mine.here", b"A: mine\n\n", part="new")  # it came meanwhile
    with pytest.raises(MoveProblem, match="holds 1 messages already"):
        one.commit()
    with pytest.raises(MoveProblem, match="holds 1 messages already"):
        one.build(look(source))
    assert not (account / "taking-over").exists()
    assert len(read(account, ("INBOX",))["INBOX"][2]) == 1


def test_layout_fs_and_courier(tmp_path: Path) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    account.mkdir()
    message(source, "1.a.far:2,S", b"A: a\n\n")
    (source / "courierimapuiddb").write_text("1 55 9\n8 1.a.far\n")
    (source / "courierimapkeywords").mkdir()
    (source / "courierimapkeywords" / ":list").write_text("urgent\n\n1.a.far:0\n")
    (source / "courierimapsubscribed").write_text("INBOX\nINBOX.Archive.2025\n")
    message(source / "Archive" / "2025", "2.b.far:2,", b"A: b\n\n")
    (source / "Archive" / "2025" / "dovecot-uidlist").write_text("3 V56 N3\n2 :2.b.far\n")
    found = look(source)
    assert (found.kind, [folder.name for folder in found.folders]) == ("Courier", ["INBOX", "Archive/2025"])
    one = staging(account)
    one.build(found)
    one.commit()
    rows = read(account, ("INBOX", "Archive/2025"))
    assert rows["INBOX"] == (55, 9, {8: (b"A: a\r\n\r\n", ["urgent", "1"], 1_600_000_000)})
    assert rows["Archive/2025"][:2] == (56, 3)


def test_out_again_is_what_came_in(tmp_path: Path) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    dovecot(source)
    (account).mkdir()
    one = staging(account)
    one.build(look(source))
    one.commit()

    async def leave() -> None:
        boxes = Mailboxes("mail.a.test")
        mover = Mover(boxes, Disk(), random.Random(1), "here")
        opened = await boxes.account(AccountFolder(account, account / "index.sqlite3"))
        scripts = ForeignScripts({"a b": b"keep;"}, "a b")
        left = await mover.leave(opened, scripts, tmp_path / "new", lambda _: None, links=True)
        assert (left.messages, left.gone) == (4, 0)
        with pytest.raises(MoveProblem, match="is there already"):
            await mover.leave(opened, scripts, tmp_path / "new", lambda _: None, links=False)
        mover.close()
        await boxes.close()

    asyncio.run(leave())
    assert (tmp_path / "new" / ".dovecot.sieve").read_bytes() == b"keep;"
    again, first = look(tmp_path / "new"), look(source)
    for folder in again.folders:
        before = next((one for one in first.folders if one.name == folder.name), None)
        if before is not None and before.uid_validity is not None:
            assert (folder.uid_validity, folder.uid_next) == (before.uid_validity, before.uid_next)
            assert [(m.uid, m.flags, m.date, m.fresh) for m in folder.messages] == [
                (m.uid, m.flags, m.date, m.fresh) for m in before.messages
            ]
            assert folder.keywords == before.keywords
            assert folder.highest_modseq >= before.highest_modseq
    assert again.subscribed is not None
    assert "Gesendet" in again.subscribed


def test_packed_messages_are_unpacked_and_encrypted_ones_refused(tmp_path: Path) -> None:
    source, account = tmp_path / "old", tmp_path / "account"
    account.mkdir()
    text = b"A: packed\n\n" + b"x" * 1000
    message(source, f"1.a.far,S={len(text)}:2,SZ", gzip.compress(text))
    (source / "dovecot-uidlist").write_text("3 V5 N2\n1 :1.a.far,S=1011\n")
    one = staging(account)
    assert one.build(look(source)).copied == 1
    one.commit()
    assert read(account, ("INBOX",))["INBOX"][2] == {1: (text.replace(b"\n", b"\r\n"), ["1"], 1_600_000_000)}
    message(source, "2.c.far,S=5:2,", b"CRYPTED\x03\x07abcdef")
    (tmp_path / "other").mkdir()
    with pytest.raises(MoveProblem, match="doveadm"):
        staging(tmp_path / "other").build(look(source))


def test_odd_things_are_told(tmp_path: Path) -> None:
    source = tmp_path / "old"
    with pytest.raises(OSError, match="old"):
        look(source)
    source.mkdir()
    with pytest.raises(OSError, match="no Maildir"):
        look(source)
    dovecot(source)
    message(source / ".gesendet&-", "1.x.far", b"A: x\n\n")
    message(source / ".A\\2fB", "1.x.far", b"A: x\n\n")
    message(source / ".A_B", "1.x.far", b"A: x\n\n")
    (source / "cur" / "link").symlink_to("/etc/passwd")
    (source / "new" / "2.b.far").write_bytes(b"twice")
    (source / "dovecot-acl").write_text("anyone l\n")
    found = look(source)
    told = "\n".join(found.problems)
    for word in ("no regular file", "is in cur/ too", "dovecot-acl", "becomes A_B (2)", "gesendet&: no list of UIDs"):
        assert word in told, told
    assert found.folders[0].unlisted == 1
