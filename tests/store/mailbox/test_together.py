"""Several at once, and one after another with a stop between: no turn is lost, nothing is taken for another's."""

import asyncio
import errno
import shutil
import threading
from collections.abc import Awaitable, Callable, Sized
from pathlib import Path

import orjson
import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.disk import Disk
from mailstack.store.errors import (
    MailboxExists,
    NoSuchMailbox,
    OverQuota,
    StoreProblem,
    TooManyKeywords,
)
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.opening import PROVISIONED
from mailstack.store.mailbox.values import AccountFolder, How, NewMessage
from tests.store.mailbox.test_account import append, everything, place
from tests.support.faults import FailingDisk

NO_FLAGS = Flags(0)


async def reopened(boxes: Mailboxes, folder: AccountFolder) -> tuple[Mailboxes, Account]:
    """As after kill -9: the old one is left as it is, with all its promises kept."""
    account = await boxes.account(folder)
    await account.settled()
    again = Mailboxes("mail.a.test")
    return again, await again.account(folder)


def names(mailbox_flags: int, known: tuple[str | None, ...]) -> set[str]:
    return {name for number, name in enumerate(known) if name is not None and mailbox_flags >> (8 + number) & 1}


# Quota --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["kept", "lost"])
async def test_quota_counts_after_a_crash_and_without_an_index(tmp_path: Path, index: str) -> None:
    folder = place(tmp_path, quota=1000)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await append(account, b"x" * 300)
    await append(account, b"x" * 400, "Archive")
    if index == "lost":
        await boxes.close()
        folder.index.unlink()
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(folder)
    else:
        boxes, account = await reopened(boxes, folder)
    async with asyncio.timeout(20):
        with pytest.raises(OverQuota):
            await append(account, b"x" * 301, "Sent")
        usage = await account.usage()
        assert (usage.octets, usage.messages) == (700, 2)
        await append(account, b"x" * 300, "Sent")
    await boxes.close()


async def test_usage_is_right_after_each_change(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)

    async def used() -> tuple[int, int]:
        usage = await account.usage()
        return usage.octets, usage.messages

    assert await used() == (0, 0)
    for size in (10, 20, 30):
        await append(account, b"x" * size)
    assert await used() == (60, 3)
    inbox = await account.open("INBOX")
    await inbox.copy(inbox.uids[:2], "Archive")
    assert await used() == (90, 5)
    await inbox.copy(inbox.uids[:1], "INBOX")
    assert await used() == (100, 6)
    await inbox.move(inbox.uids[1:2], "Trash")
    assert await used() == (100, 6)
    await inbox.store(inbox.uids, How.ADD, Flags.DELETED)
    assert await used() == (100, 6)
    await inbox.expunge(inbox.uids)
    assert await used() == (50, 3)
    await account.rename("Archive", "Old")
    assert await used() == (50, 3)
    inbox.release()
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert await used() == (50, 3)
    await account.delete("Old")
    assert await used() == (20, 1)
    await boxes.close()


async def test_appends_at_once_do_not_pass_the_quota_together(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path, quota=1000))
    answers = await asyncio.gather(*(append(account, b"x" * 150) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 6
    assert all(isinstance(answer, int | OverQuota) for answer in answers)
    inbox = await account.open("INBOX")
    copies = await asyncio.gather(*(inbox.copy(inbox.uids[:1], "Archive") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(copy, OverQuota) for copy in copies)
    assert (await account.usage()).octets == 900
    assert await append(account, b"x" * 500, fresh=True), "a delivery that was let in at RCPT arrives"
    await inbox.move(inbox.uids, "Archive")
    inbox.release()
    await boxes.close()


# Keywords -----------------------------------------------------------------------------------------------------------


async def test_keywords_of_a_refused_change_are_forgotten(tmp_path: Path) -> None:
    """What was planned and not written must not be taken for known: its letter would mean nothing after a restart."""
    folder = place(tmp_path, quota=100)
    disk = FailingDisk(("rename", "commit"))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(folder)
    uid = await append(account, b"x" * 10)
    inbox = await account.open("INBOX")
    with pytest.raises(OverQuota):
        await append(account, b"x" * 200, keywords=frozenset({"$A"}))
    prepared = [
        await account.prepare("INBOX", NewMessage(Content.of(b"x"), keywords=frozenset(some)))
        for some in ({"$B"}, {f"$full{number}" for number in range(27)})
    ]
    first, second = await asyncio.gather(*(account.commit([one]) for one in prepared), return_exceptions=True)
    assert isinstance(second, TooManyKeywords)
    assert not isinstance(first, BaseException)
    for error in (errno.EIO, errno.ENOSPC):
        disk.error = error
        with pytest.raises(StoreProblem):
            await inbox.store([uid], How.ADD, NO_FLAGS, frozenset({"$C"}))
    disk.error = None
    await inbox.store([uid], How.ADD, NO_FLAGS, frozenset({"$A", "$C"}))
    boxes, account = await reopened(boxes, folder)
    inbox = await account.open("INBOX")
    assert names(inbox.flags[0], inbox.keywords) == {"$A", "$C"}
    assert names(inbox.flags[1], inbox.keywords) == {"$B"}
    inbox.release()
    await boxes.close()


async def test_keywords_are_kept_over_copy_and_move_between_other_letters(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    inbox, archive = await account.open("INBOX"), await account.open("Archive")
    await append(account, name="Archive", keywords=frozenset({"z", "y", "x"}))
    uid = await append(account, keywords=frozenset({"a", "x", "$Forwarded"}), flags=Flags.SEEN)
    await inbox.store([uid], How.ADD, NO_FLAGS, frozenset({"A", "$FORWARDED"}))
    assert names(inbox.flags[0], inbox.keywords) == {"a", "x", "$Forwarded"}
    await inbox.copy([uid], "Archive")
    await inbox.copy([uid], "INBOX")
    await inbox.move([uid], "Archive")
    for again in (False, True):
        if again:
            boxes, account = await reopened(boxes, folder)
            inbox, archive = await account.open("INBOX"), await account.open("Archive")
        assert names(inbox.flags[0], inbox.keywords) == {"a", "x", "$Forwarded"}
        assert [names(flags, archive.keywords) for flags in archive.flags] == [{"x", "y", "z"}] + [{"a", "x", "$Forwarded"}] * 2
        assert [flags & Flags.SEEN for flags in archive.flags] == [0, 1, 1]
        assert inbox.keywords[: len("ax$")] != archive.keywords[: len("ax$")]
    inbox.release()
    archive.release()
    await boxes.close()


async def test_letters_are_given_out_again_but_none_that_a_file_carries(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    # Another program's letter without a name: it must not become the next keyword.
    (folder.path / "Maildir/cur/1700000000.x.y:2,a").write_bytes(b"Subject: x\n\n")
    inbox = await account.open("INBOX")
    assert not names(inbox.flags[0], inbox.keywords)
    uid = await append(account, keywords=frozenset(f"k{number}" for number in range(25)))
    assert not names(inbox.flags[0], inbox.keywords)
    assert len(names(inbox.flags[1], inbox.keywords)) == 25
    assert inbox.keywords_full
    for refused in (inbox.store([uid], How.ADD, NO_FLAGS, frozenset({"new"})), append(account, keywords=frozenset({"new"}))):
        with pytest.raises(TooManyKeywords):
            await refused
    await inbox.store([uid], How.REMOVE, NO_FLAGS, frozenset({"k7", "nobody's"}))
    assert not inbox.keywords_full
    await inbox.store([uid], How.ADD, NO_FLAGS, frozenset({"new"}))
    assert inbox.keywords_full
    boxes, account = await reopened(boxes, folder)
    inbox = await account.open("INBOX")
    assert names(inbox.flags[1], inbox.keywords) == {"new", *(f"k{number}" for number in range(25) if number != 7)}
    assert not names(inbox.flags[0], inbox.keywords)
    inbox.release()
    await boxes.close()


async def test_a_keywords_file_of_others_is_read_as_far_as_it_makes_sense(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await boxes.close()
    lines = '0 $Good\n1 two words\n2 \\Odd\n3 "quoted"\n99 far\n-1 x\nx y\n4\n5 par(en\n\u0663 arabic\n6 ok*\n7 Fine.\n'
    (folder.path / "Maildir/dovecot-keywords").write_text(lines)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    inbox = await account.open("INBOX")
    assert {name for name in inbox.keywords if name} == {"$Good", "Fine."}
    inbox.release()
    await boxes.close()


# Mailboxes that go while others work --------------------------------------------------------------------------------


async def test_work_in_a_mailbox_that_is_deleted_meanwhile_is_refused(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await account.create("Box")
    for _ in range(3):
        await append(account, name="Box")
    box = await account.open("Box")
    uids = list(box.uids)
    await account.delete("Box")
    for work in (
        box.copy(uids, "Archive"),
        box.move(uids, "Archive"),
        box.store(uids, How.ADD, Flags.SEEN),
        box.expunge(uids, force=True),
    ):
        with pytest.raises(NoSuchMailbox):
            await work
    assert (await account.status("Archive")).messages == 0
    with pytest.raises(StoreProblem):
        await append(account, name="Box")
    await boxes.close()


async def test_subscriptions_at_once_are_all_kept(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await asyncio.gather(*(account.subscribe(f"box{number}") for number in range(20)), account.unsubscribe("Junk"))
    wanted = {f"box{number}" for number in range(20)} | {"INBOX", "Sent", "Drafts", "Trash", "Archive"}
    assert account.subscriptions() == wanted
    boxes, account = await reopened(boxes, folder)
    assert account.subscriptions() == wanted
    await boxes.close()


async def test_a_name_that_is_given_again_is_not_the_old_mailbox(tmp_path: Path) -> None:
    """A promise of before must not be kept once more, after a crash, in the folder that has the name now."""
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await append(account, b"Subject: one\r\n\r\n")
    await account.create("A")
    inbox = await account.open("INBOX")
    await inbox.copy(inbox.uids, "A")
    await account.delete("A")
    await account.create("A")
    boxes, account = await reopened(boxes, folder)
    assert (await account.status("A")).messages == 0, "a copy came back into another mailbox"
    await append(account, b"Subject: two\r\n\r\n", "A")
    await account.rename("A", "B")
    await account.create("A")
    boxes, account = await reopened(boxes, folder)
    assert (await account.status("A")).messages == 0
    assert (await account.status("B")).messages == 1
    await account.delete("B")
    boxes, account = await reopened(boxes, folder)
    assert [info.name for info in await account.listing() if info.name in "AB"] == ["A"]
    await boxes.close()


async def test_a_folder_that_is_no_mailbox_is_in_the_way_of_a_rename_only(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    root = folder.path / "Maildir"
    (root / ".Full" / "others").mkdir(parents=True)
    (root / ".File").touch()
    await account.create("A")
    await append(account, name="A")
    async with asyncio.timeout(20):
        for taken in ("Full", "File"):
            with pytest.raises(MailboxExists):
                await account.rename("A", taken)
        await account.create("Full")
        with pytest.raises(StoreProblem):
            await account.create("File")
        await account.rename("A", "B")
    assert (await account.status("B")).messages == 1
    assert (root / ".Full" / "others").is_dir()
    assert {"Full", "B"} < {info.name for info in await account.listing()}
    await boxes.close()


async def test_a_promise_that_can_never_be_kept_stops_nobody(tmp_path: Path) -> None:
    disk = FailingDisk(("unlink",))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    uid = await append(account)
    inbox = await account.open("INBOX")
    disk.error = errno.EISDIR
    await inbox.expunge([uid], force=True)
    async with asyncio.timeout(20):
        await account.settled()
        disk.error = None
        await append(account)
    inbox.release()
    await boxes.close()


async def test_half_a_deletion_or_creation_is_cleared_away_at_the_next_start(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    await boxes.account(folder)
    await boxes.close()
    (folder.path / "deleted-0123" / "cur").mkdir(parents=True)
    (folder.path / "deleted-0123" / "cur" / "x").touch()
    (folder.path / "new-0123" / "cur").mkdir(parents=True)
    boxes = Mailboxes("mail.a.test")
    await boxes.account(folder)
    assert not [path.name for path in folder.path.iterdir() if path.name.startswith(("deleted-", "new-"))]
    await boxes.close()


async def test_a_mailbox_whose_folder_others_removed_can_be_deleted(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    shutil.rmtree(folder.path / "Maildir" / ".Junk")
    await account.delete("Junk")
    assert "Junk" not in [info.name for info in await account.listing()]
    await boxes.close()


# Folders of others --------------------------------------------------------------------------------------------------


async def test_no_folder_takes_anothers_place(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await append(account, b"Subject: kept\r\n\r\n")
    await append(account, b"Subject: sent\r\n\r\n", "Sent")
    seen = await everything(account)
    await boxes.close()
    for name in (".INBOX", ".inbox", ".&AFM-ent", "..", ".A..B", ".", "Sent", ".a\x07b", ".&bad", ".&2AA-"):
        (folder.path / "Maildir" / name / "cur").mkdir(parents=True, exist_ok=True)
        (folder.path / "Maildir" / name / "new").mkdir(parents=True, exist_ok=True)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert await everything(account) == seen
    await account.refresh()
    assert await everything(account) == seen
    await boxes.close()


async def test_a_copied_folder_is_a_mailbox_of_its_own(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    for number in range(3):
        await append(account, f"Subject: {number}\r\n\r\n".encode(), "Archive")
    root = folder.path / "Maildir"
    shutil.copytree(root / ".Archive", root / ".Copy")
    for again in (False, True):
        if again:
            boxes, account = await reopened(boxes, folder)
        await account.refresh()
        archive, copy = await account.open("Archive"), await account.open("Copy")
        assert archive.id != copy.id
        assert archive.uid_validity != copy.uid_validity
        assert len(archive.uids) == len(copy.uids) == 3
        bodies = [sorted((await mailbox.read_many(mailbox.uids)).values()) for mailbox in (archive, copy)]
        assert bodies[0] == bodies[1]
        archive.release()
        copy.release()
    await boxes.close()


# Accounts -----------------------------------------------------------------------------------------------------------


async def test_a_restored_account_gets_what_is_missing(tmp_path: Path) -> None:
    folder = place(tmp_path)
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (folder.path / "Maildir" / name).mkdir(parents=True)
    (folder.path / "Maildir/.Sent/cur/1700000000.x.y:2,S").write_bytes(b"Subject: old\r\n\r\n")
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert {info.name for info in await account.listing()} == {"INBOX", *(name for name, _ in PROVISIONED)}
    assert (await account.status("Sent")).messages == 1
    await boxes.close()


async def test_uidvalidity_exceeds_all_that_there_are_when_its_file_is_lost(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    marks = folder.path / "Maildir/.Sent/.mailstack"
    await boxes.close()
    (folder.path / "uidvalidity").unlink()
    marks.write_bytes(orjson.dumps(orjson.loads(marks.read_bytes()) | {"uid_validity": 4_000_000_000, "special_use": "\\Odd"}))
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert next(info for info in await account.listing() if info.name == "Sent").special_use is None
    assert (await account.create("New")).uid_validity == 4_000_000_001
    await boxes.close()


async def test_an_account_that_a_session_holds_is_not_closed_for_others(tmp_path: Path) -> None:
    """Two of them on one folder would give the same UIDs twice."""
    boxes = Mailboxes("mail.a.test", limit=2)
    folders = [AccountFolder(tmp_path / str(n), tmp_path / str(n) / "index.sqlite3") for n in range(6)]
    held = await boxes.account(folders[0])
    held.hold()
    for folder in folders[1:]:
        held.last_used = -1000.0
        other = await boxes.account(folder)
        other.last_used = -1000.0
    assert await boxes.account(folders[0]) is held
    held.let_go()
    await boxes.close()


async def test_one_keyword_goes_and_all_others_stay(tmp_path: Path) -> None:
    """And the letters of other programs stay too, wherever the message goes."""
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    (folder.path / "Maildir/cur/1700000000.x.y:2,PSXZ").write_bytes(b"Subject: x\n\n")
    inbox = await account.open("INBOX")
    (uid,) = inbox.uids
    kept = {f"k{number:02}" for number in range(26)}
    await inbox.store([uid], How.ADD, NO_FLAGS, frozenset(kept))
    for gone in ("k03", "k25", "k00"):
        await inbox.store([uid], How.REMOVE, NO_FLAGS, frozenset({gone}))
        kept.discard(gone)
        assert names(inbox.flags[0], inbox.keywords) == kept
    await inbox.store([uid], How.REMOVE, Flags.SEEN)
    await inbox.store([uid], How.ADD, Flags.FLAGGED)
    assert names(inbox.flags[0], inbox.keywords) == kept
    await inbox.copy([uid], "INBOX")
    await inbox.move([uid], "Archive")
    archive = await account.open("Archive")
    assert names(inbox.flags[0], inbox.keywords) == names(archive.flags[0], archive.keywords) == kept
    await account.settled()
    for part in ("cur", ".Archive/cur"):
        (path,) = (folder.path / "Maildir" / part).iterdir()
        letters = path.name.partition(":2,")[2]
        assert [letter for letter in letters if letter.isupper()] == ["F", "P", "X", "Z"]
        assert len(letters) == 4 + len(kept)
    await archive.store(archive.uids, How.REPLACE, NO_FLAGS, frozenset({"k05"}))
    assert names(archive.flags[0], archive.keywords) == {"k05"}
    await account.settled()
    (path,) = (folder.path / "Maildir/.Archive/cur").iterdir()
    assert path.name.partition(":2,")[2][:3] == "PXZ"
    assert path.name[-1].islower()
    assert path.name[-2] == "Z"
    inbox.release()
    archive.release()
    await boxes.close()


# Reading what trails ------------------------------------------------------------------------------------------------


class HeldDisk(Disk):
    """Links and renames wait for the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def link(self, source: Path | str, target: Path | str) -> None:
        assert self.gate.wait(20)
        super().link(source, target)

    def rename(self, source: Path | str, target: Path | str) -> None:
        assert self.gate.wait(20)
        super().rename(source, target)


@pytest.mark.parametrize("kind", ["envelopes", "structures", "headers", "map", "read_many", "read", "parts"])
async def test_messages_are_read_while_their_files_are_on_the_way(tmp_path: Path, kind: str) -> None:
    disk = HeldDisk()
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    for number in range(5):
        await append(account, b"Subject: %d\r\n\r\n" % number)
    inbox, archive = await account.open("INBOX"), await account.open("Archive")
    disk.gate.clear()
    copied = await inbox.copy(inbox.uids[:2], "Archive")
    moved = await inbox.move(inbox.uids[2:], "Archive")
    uids = [*copied.uids, *moved.uids]
    read: dict[str, Callable[[], Awaitable[Sized]]] = {
        "envelopes": lambda: archive.envelopes(uids),
        "structures": lambda: archive.structures(uids, True),
        "headers": lambda: archive.headers(uids),
        "map": lambda: archive.map(uids, len),
        "read_many": lambda: archive.read_many(uids),
        "read": lambda: asyncio.gather(*(archive.read(uid) for uid in uids)),
        "parts": lambda: archive.parts(uids),
    }
    task = asyncio.ensure_future(read[kind]())
    await asyncio.sleep(0.05)
    assert not task.done()
    disk.gate.set()
    assert len(await task) == 5
    inbox.release()
    archive.release()
    await boxes.close()


async def test_a_copied_account_shares_no_kept_answers(tmp_path: Path) -> None:
    """Its mailboxes have the same ids, and soon other messages under the same UIDs."""
    boxes = Mailboxes("mail.a.test")
    folders = [AccountFolder(tmp_path / name, tmp_path / name / "index.sqlite3") for name in ("one", "two")]
    await boxes.account(folders[0])
    await boxes.close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    boxes = Mailboxes("mail.a.test")
    for name, folder in zip((b"one", b"two"), folders, strict=True):
        account = await boxes.account(folder)
        await append(account, b"Subject: %b\r\n\r\n" % name)
        inbox = await account.open("INBOX")
        (envelope,) = (await inbox.envelopes(inbox.uids)).values()
        assert name in envelope
        inbox.release()
    await boxes.close()
