"""Other programs in the same Maildir: what they do is seen, nothing is lost or shown twice, no odd file stops anybody."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mailstack.message.flag import Flags, from_letters
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox import account as accounts
from mailstack.store.mailbox import others
from mailstack.store.mailbox import scan as scans
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.state import Tombstones
from mailstack.store.mailbox.values import Change, FlagsChanged, How, MessagesAdded, MessagesExpunged
from tests.store.mailbox.test_account import append, place
from tests.support.server import ROOT

BODY = b"From: a@b.test\nSubject: foreign\n\nline\n"
WIRE = BODY.replace(b"\n", b"\r\n")


class Session:
    """Keeps what a client knows by what it is told alone."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.flags = dict(zip(mailbox.uids, mailbox.flags, strict=True))
        self.gone: set[int] = set()
        self.stop = mailbox.listen(self.hear)

    def hear(self, change: Change) -> None:
        places = {uid: place for place, uid in enumerate(self.mailbox.uids)}
        match change:
            case MessagesAdded(uids):
                for uid in uids:
                    assert uid not in self.flags, "told twice"
                    assert uid not in self.gone, "a UID came again"
                    if uid in places:
                        self.flags[uid] = self.mailbox.flags[places[uid]]
                    else:
                        self.flags[uid] = 0
            case FlagsChanged(uids):
                for uid in uids:
                    assert uid in self.flags
                    if uid in places:
                        self.flags[uid] = self.mailbox.flags[places[uid]]
            case MessagesExpunged(uids):
                for uid in uids:
                    del self.flags[uid]
                    self.gone.add(uid)

    def right(self) -> None:
        assert self.flags == dict(zip(self.mailbox.uids, self.mailbox.flags, strict=True))


async def started(tmp_path: Path, count: int = 0) -> tuple[Mailboxes, Account, Mailbox, Path]:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    for number in range(count):
        await append(account, b"Subject: %d\r\n\r\n" % number)
    return boxes, account, await account.open("INBOX"), tmp_path / "account/Maildir"


def file_of(root: Path, uid: int) -> Path:
    (found,) = [
        path
        for part in ("cur", "new")
        for path in (root / part).iterdir()
        if f".{uid}" == path.name.partition(":")[0][-1 - len(str(uid)) :]
    ]
    return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry a scan."""
    made: list[str] = []

    def scan(maildir: scans.Maildir, known: scans.Known, *rest: object) -> scans.Found:
        made.append(known.folder)
        return scans.scan(maildir, known, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(others, "scan", scan)
    return made


# Seen at once -------------------------------------------------------------------------------------------------------


async def test_a_user_of_two_programs_sees_changes_at_once(tmp_path: Path) -> None:
    """Whatever we did just before."""
    boxes, account, inbox, root = await started(tmp_path, 5)
    session = Session(inbox)
    for number in range(4):
        await append(account, fresh=True)
        await inbox.store(inbox.uids[:2], How.ADD if number % 2 else How.REMOVE, Flags.ANSWERED)
        await account.settled()
        await asyncio.sleep(0.02)  # a tick of the file system's clock
        old = file_of(root, inbox.uids[1])
        old.rename(old.with_name(old.name.partition(":")[0] + (":2,F" if number % 2 else ":2,FS")))
        (root / "new" / f"170000000{number}.x.y").write_bytes(BODY)
        await inbox.check()
        assert inbox.flags[1] == from_letters("F" if number % 2 else "FS")
        assert await inbox.read(inbox.uids[-1]) == WIRE
        await asyncio.sleep(0.02)
        file_of(root, inbox.uids[0]).unlink()
        await inbox.check()
        session.right()
    assert len(inbox.uids) == 5 + 4
    await boxes.close()


async def test_our_own_work_costs_no_scan(tmp_path: Path, counted: list[str]) -> None:
    boxes, account, inbox, _ = await started(tmp_path, 3)
    await inbox.check()
    counted.clear()
    for _ in range(20):
        await append(account, fresh=True)
        await inbox.store(inbox.uids[:2], How.ADD, Flags.SEEN)
        await inbox.copy(inbox.uids[:1], "Archive")
        await inbox.move(inbox.uids[-1:], "Trash")
        await inbox.expunge(inbox.uids[:1], force=True)
        await inbox.check()
        await account.status("Archive")
        await account.status("Trash")
    assert counted.count("") == 0
    assert len(counted) <= 2, "the other mailboxes are looked at once, when they are opened first"
    await boxes.close()


async def test_what_our_own_work_hid_is_seen_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, account, inbox, root = await started(tmp_path, 1)
    await inbox.check()
    await append(account)
    times = account.maildir.times("")
    (root / "new" / "1700000000.x.y").write_bytes(BODY)
    for part, time in zip(("cur", "new"), times, strict=True):
        os.utime(root / part, ns=(time, time))
    await inbox.check()
    assert len(inbox.uids) == 2, "the file system's clock did not tell"
    monkeypatch.setattr(others, "RESCAN_SECONDS", -1.0)
    await inbox.check()
    assert len(inbox.uids) == 3
    await boxes.close()


async def test_a_file_is_gone_only_when_two_quiet_listings_lack_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, account, inbox, root = await started(tmp_path, 3)
    real = scans._listing
    lists = []

    def lacking(maildir: scans.Maildir, prefix: bytes) -> scans._Listing:
        """As a listing may lack a file under renames; the folder changes meanwhile."""
        found = real(maildir, prefix)
        lists.append(len(found.paths))
        if len(lists) in misses:
            del found.paths[min(found.paths)]
        if len(lists) in changes:
            (root / "cur" / "touch").touch()
            (root / "cur" / "touch").unlink()
        return found

    monkeypatch.setattr(scans, "_listing", lacking)
    for misses, changes in (({1}, set()), ({1, 2}, {1}), ({1, 2, 3, 4, 5}, {1, 2, 3, 4, 5})):
        lists.clear()
        await account.check(inbox, always=True)
        assert len(inbox.uids) == 3, (misses, changes)
    lists.clear()
    misses, changes = {1, 2}, set[int]()
    await account.check(inbox, always=True)
    assert len(inbox.uids) == 2
    await boxes.close()


async def test_a_folder_that_goes_and_one_that_comes(tmp_path: Path) -> None:
    boxes, account, _, root = await started(tmp_path)
    await append(account, name="Archive")
    archive = await account.open("Archive")
    heard: list[Change] = []
    archive.listen(heard.append)
    shutil.move(root / ".Archive", tmp_path / "aside")
    await archive.check()
    assert len(heard) == 1
    assert "Archive" not in [info.name for info in await account.listing()]
    uid_validity = archive.uid_validity
    shutil.move(tmp_path / "aside", root / ".Archive")
    await account.refresh()
    again = await account.open("Archive")
    assert again.uid_validity == uid_validity
    assert len(again.uids) == 1
    assert await append(account, name="Archive") > again.uids[0]
    await boxes.close()


# What files may be --------------------------------------------------------------------------------------------------


async def test_names_of_all_kinds(tmp_path: Path) -> None:
    """Each gets a UID, a name of ours, the right sizes, and its flags."""
    boxes, account, inbox, root = await started(tmp_path)
    size = len(BODY)
    files = {
        "cur/1700000001.x.y:2,S": "S",
        "cur/1700000002.x.y": "",
        "new/1700000003.x.y": "",
        "new/1700000004.x.y:2,FS": "FS",
        "cur/1700000005.x.y,U=7:2,SF": "FS",  # mbsync
        "cur/1700000006.x.y,U=7,FMD5=abc:2,R": "R",  # offlineimap
        f"cur/1700000007.x.y,S={size}:2,": "",
        f"cur/1700000008.x.y,S={size},W={size + 4}:2,T": "T",
        "cur/1700000009.x.y,S=1,W=1:2,": "",
        "cur/1700000010.x.y,M=1.1:2,": "",
        f"cur/1700000011.x.y,S={size},W={size + 4},M={inbox.uid_validity}.5000:2,": "",  # above the mark
        "cur/no-time-at-all": "",
        "cur/" + "n" * 255: "",
        "cur/17000000012.é.y:2,D": "D",
        "cur/new\nline:2,P": "P",
        "cur/:2,S": "S",
        "cur/x:1,S": "",
    }
    for name in files:
        (root / name).write_bytes(BODY)
    await inbox.check()
    assert len(inbox.uids) == len(files)
    assert sorted(inbox.flags) == sorted(int(from_letters(letters)) for letters in files.values())
    for where, uid in enumerate(inbox.uids):
        assert inbox.sizes[where] == len(WIRE)
        assert await inbox.read(uid) == WIRE
        assert await inbox.read(uid, 5, 20) == WIRE[5:25]
        assert b"".join([block async for block in inbox.blocks(uid)]) == WIRE
        assert len(inbox.email_id(uid)) > 10
        assert (root / os.fsdecode(inbox.path(where))).is_file(), "each is where we look for it first"
    assert len({inbox.email_id(uid) for uid in inbox.uids}) == len(files)
    assert (await account.usage()).octets == len(files) * len(WIRE)
    uids = list(inbox.uids)
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    assert list(inbox.uids) == uids
    await boxes.close()
    place(tmp_path).index.unlink()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    assert list(inbox.uids) == uids
    await boxes.close()


async def test_line_ends(tmp_path: Path) -> None:
    """RFC822.SIZE is what is sent."""
    boxes, _, inbox, root = await started(tmp_path)
    texts = [
        b"a: b\n\nc",
        b"a: b\r\n\r\nc\r\n",
        b"a: b\r\n\nc\rd\n",
        b"",
        b"\n",
        b"a: b\n\n" + b"x" * (1 << 20) + b"\r\n" + b"y\n" * 3,
    ]
    texts.append(b"a: b\n\n" + b"z" * ((1 << 20) - 7) + b"\r\nend\n")  # CR and LF in different blocks
    for number, text in enumerate(texts):
        (root / "cur" / f"17000000{number:02}.x.y:2,").write_bytes(text)
        os.utime(root / "cur" / f"17000000{number:02}.x.y:2,", (1_700_000_000 + number,) * 2)
    await inbox.check()
    for where, (uid, text) in enumerate(zip(inbox.uids, texts, strict=True)):
        wire = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert await inbox.read(uid) == wire
        assert inbox.sizes[where] == len(wire)
        assert inbox.dates[where] == 1_700_000_000 + where
    await boxes.close()


async def test_odd_files_are_skipped(tmp_path: Path) -> None:
    boxes, account, inbox, root = await started(tmp_path, 2)
    for part in ("cur", "new"):
        os.symlink("/etc/passwd", root / part / "1.link.x:2,")
        os.symlink("nowhere", root / part / "2.broken.x:2,")
        os.symlink(".", root / part / "3.loop.x:2,")
        os.mkfifo(root / part / "4.fifo.x:2,")
        (root / part / "5.folder.x:2,").mkdir()
        (root / part / ".hidden").write_bytes(BODY)
    async with asyncio.timeout(20):
        await inbox.check()
        assert len(inbox.uids) == 2
        for where, uid in enumerate(list(inbox.uids)):
            await inbox.read(uid)
            path = root / os.fsdecode(inbox.path(where))
            path.unlink()
            if where:
                os.mkfifo(path)
            else:
                os.symlink("/etc/passwd", path)
            with pytest.raises(StoreProblem):
                await inbox.read(uid)
            assert await inbox.envelopes([uid]) == {}
            assert await inbox.headers([uid]) == {}
        await append(account)
    await boxes.close()


UNREADABLE = """
import asyncio, os, sys
from pathlib import Path
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.state import Tombstones
from mailstack.store.mailbox.values import AccountFolder

async def main(folder):
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(AccountFolder(folder, folder / "index.sqlite3"))
    root = folder / "Maildir"
    for number in range(3):
        (root / "cur" / f"170000000{number}.x.y:2,").write_bytes(b"Subject: x\\n\\n")
    os.chmod(root / "cur" / "1700000001.x.y:2,", 0)
    inbox = await account.open("INBOX")
    print(len(inbox.uids))
    os.chmod(next(root.glob("cur/*.1:2,")), 0)
    print([len(found) for found in (await inbox.read_many(inbox.uids), await inbox.envelopes(inbox.uids))])
    await boxes.close()

if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main(Path(sys.argv[1])))
"""


def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    """As an ordinary user, since root may read all."""
    home = Path("/tmp") / f"mailstack-test-{os.getpid()}-{random.randrange(1 << 40):x}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNREADABLE, str(home / "account")],
            capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    finally:
        shutil.rmtree(home)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("20")]
    assert done.returncode == 0, done.stderr
    assert "Permission denied" in done.stdout
    assert lines == ["2", "[1, 1]"], done.stdout


async def test_a_restored_backup_brings_nothing_twice(tmp_path: Path) -> None:
    """rsync over the living Maildir: what is there stays, what was expunged comes back under a new UID."""
    boxes, account, inbox, root = await started(tmp_path, 6)
    session = Session(inbox)
    backup = tmp_path / "backup"
    shutil.copytree(root, backup)
    uids = list(inbox.uids)
    await inbox.store(uids[:2], How.ADD, Flags.SEEN)
    await inbox.expunge(uids[4:], force=True)
    await account.settled()
    for path in (backup / "cur").iterdir():
        if not any(path.name.partition(":")[0] == there.name.partition(":")[0] for there in (root / "cur").iterdir()):
            shutil.copy2(path, root / "cur" / path.name)
    await inbox.check()
    assert list(inbox.uids[:4]) == uids[:4]
    assert len(inbox.uids) == 6
    assert min(inbox.uids[4:]) > max(uids)
    subjects = [body[9:10] for body in (await inbox.read_many(inbox.uids)).values()]
    assert sorted(subjects) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    session.right()
    await boxes.close()


async def test_a_message_that_is_copied_by_hand_is_two(tmp_path: Path) -> None:
    boxes, account, inbox, root = await started(tmp_path, 1)
    uid = inbox.uids[0]
    original = file_of(root, uid)
    shutil.copy2(original, root / ".Archive/cur" / original.name)
    shutil.copy2(original, root / "cur" / ("0" + original.name))
    await inbox.check()
    assert len(inbox.uids) == 2
    assert inbox.uids[0] == uid
    archive = await account.open("Archive")
    assert len(archive.uids) == 1
    assert f"{archive.uid_validity}." in next((root / ".Archive/cur").iterdir()).name
    await boxes.close()


# Many renames -------------------------------------------------------------------------------------------------------


async def test_two_hundred_renames_while_sessions_read(tmp_path: Path) -> None:
    boxes, account, inbox, root = await started(tmp_path, 40)
    session = Session(inbox)
    uids = list(inbox.uids)
    chance = random.Random(5)
    ready = threading.Event()

    def mutt() -> None:
        for _ in range(200):
            path = chance.choice(list((root / "cur").iterdir()))
            letters = "".join(sorted(chance.sample("DFRST", chance.randrange(5))))
            path.rename(path.with_name(path.name.partition(":")[0] + ":2," + letters))
            ready.wait(0.001)

    thread = threading.Thread(target=mutt)
    thread.start()
    while thread.is_alive():
        uid = chance.choice(uids)
        assert (await inbox.read(uid)).startswith(b"Subject: ")
        await inbox.check()
        assert list(inbox.uids) == uids
        assert len(await inbox.envelopes(uids)) == len(uids)
    thread.join()
    await account.check(inbox, always=True)
    session.right()
    there = {path.name.rpartition(".")[2].partition(":")[0]: path.name.partition(":2,")[2] for path in (root / "cur").iterdir()}
    assert {str(uid): int(from_letters(there[str(uid)])) for uid in uids} == {str(k): v for k, v in session.flags.items()}
    await boxes.close()


@pytest.mark.parametrize("seed", range(3))
async def test_an_outside_writer_and_sessions_at_once(tmp_path: Path, seed: int) -> None:
    """Each message has a token of its own; at the end the mailbox, the folder and what sessions heard say the same."""
    boxes, account, inbox, root = await started(tmp_path)
    session = Session(inbox)
    chance = random.Random(seed)
    known: dict[int, bytes] = {}
    outside_removed = 0
    for step in range(150):
        files = [path for part in ("cur", "new") for path in (root / part).iterdir()]
        body = b"Subject: token %d\n\n" % step
        match chance.randrange(11):
            case 0:
                (root / "tmp" / f"x{step}").write_bytes(body)
                (root / "tmp" / f"x{step}").rename(root / chance.choice(("new", "cur")) / f"17{step:08}.x{step}.y")
            case 1 if files:
                path = chance.choice(files)
                letters = "".join(sorted(chance.sample("DFRST", chance.randrange(5))))
                with suppress(FileNotFoundError):  # as any writer: between its look and its change ours renamed it
                    path.rename(root / "cur" / (path.name.partition(":")[0] + ":2," + letters))
            case 2 if files:
                with suppress(FileNotFoundError):
                    chance.choice(files).unlink()
                    outside_removed += 1
            case 3 if files:
                path = chance.choice(files)
                with suppress(FileNotFoundError):
                    path.rename(root / "cur" / f"17{step:08}.moved{step}.y:2,")
            case 4 | 5:
                await append(account, body.replace(b"\n", b"\r\n"), fresh=chance.random() < 0.5)
            case 6 if inbox.uids:
                some = sorted(chance.sample(list(inbox.uids), chance.randrange(1, len(inbox.uids) + 1)))
                await inbox.store(some, chance.choice(list(How)), Flags(chance.randrange(32)), frozenset({"kw"}))
            case 7 if inbox.uids:
                await inbox.copy(chance.sample(list(inbox.uids), 1), "INBOX")
            case 8 if inbox.uids:
                await inbox.expunge(chance.sample(list(inbox.uids), 1), force=True)
            case 9 if inbox.uids:
                await inbox.move(chance.sample(list(inbox.uids), 1), "Archive")
            case _:
                await inbox.check()
        for uid, found in (await inbox.read_many(inbox.uids)).items():
            assert known.setdefault(uid, found) == found, f"UID {uid} is another message now"
    await account.check(inbox, always=True)
    session.right()
    assert outside_removed
    files = [path for part in ("cur", "new") for path in (root / part).iterdir()]
    assert len(files) == len(inbox.uids)
    bodies = await inbox.read_many(inbox.uids)
    assert sorted(bodies.values()) == sorted(
        path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in files
    )
    where = {os.fsdecode(account.maildir.look_up(inbox.path(n)) or b"") for n in range(len(inbox.uids))}
    assert where == {str(path.relative_to(root)) for path in files}
    await boxes.close()


async def test_names_that_others_add_to_keep_their_uids(tmp_path: Path) -> None:
    """mbsync writes its own UID behind the names of files in a Maildir that it synchronises."""
    boxes, account, inbox, root = await started(tmp_path, 4)
    session = Session(inbox)
    uids = list(inbox.uids)
    for number, uid in enumerate(uids[:3]):
        path = file_of(root, uid)
        base, _, letters = path.name.partition(":2,")
        path.rename(root / "cur" / f"{base},U={number + 1}:2,{letters}F")
    # Before it is seen, by the old name: what is asked for is read, and flags of both stay.
    assert (await inbox.read(uids[0])).startswith(b"Subject: 0")
    await inbox.store(uids[:1], How.ADD, Flags.SEEN)
    await account.settled()
    await account.check(inbox, always=True)
    assert list(inbox.uids) == uids
    assert [int(flags) for flags in inbox.flags] == [int(from_letters(letters)) for letters in ("FS", "F", "F", "")]
    # The mark stays when we change a name, and in a copy it has no place.
    await inbox.store(uids[1:2], How.ADD, Flags.SEEN)
    await inbox.copy(uids[1:2], "Archive")
    await account.settled()
    assert sum(",U=2:2,FS" in path.name for path in (root / "cur").iterdir()) == 1
    assert not any(",U=" in path.name for path in (root / ".Archive/cur").iterdir())
    # A backup with the names from before is no second copy; a mark that is taken off is no other message.
    marked = next(path for path in (root / "cur").iterdir() if ",U=3:" in path.name)
    shutil.copy2(marked, root / "cur" / marked.name.replace(",U=3:2,F", ":2,"))
    other = next(path for path in (root / "cur").iterdir() if ",U=1:" in path.name)
    other.rename(root / "cur" / other.name.replace(",U=1", ""))
    await account.check(inbox, always=True)
    assert list(inbox.uids) == uids
    assert len(list((root / "cur").iterdir())) == 4
    session.right()
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    assert list(inbox.uids) == uids
    assert [(await inbox.read(uid))[9:10] for uid in uids] == [b"0", b"1", b"2", b"3"]
    await boxes.close()


@pytest.mark.parametrize("same", [True, False])
async def test_two_files_with_one_name(tmp_path: Path, same: bool) -> None:
    """A backup that is put over changed flags: one message with its flags, unless it is another message."""
    boxes, account, inbox, root = await started(tmp_path, 2)
    session = Session(inbox)
    uids = list(inbox.uids)
    before = file_of(root, uids[0])
    data = before.read_bytes()
    await inbox.store(uids[:1], How.ADD, Flags.SEEN)
    await account.settled()
    before.with_name(before.name.partition(":")[0] + ":2,FT").write_bytes(data if same else data + b"more\r\n")
    await inbox.check()
    await inbox.check()
    assert list(inbox.uids[:2]) == uids
    if same:
        assert len(inbox.uids) == 2
        assert inbox.flags[0] == int(from_letters("FS")), "what is restored deletes nothing"
        assert len(list((root / "cur").iterdir())) == 2
        await inbox.expunge(uids[:1], force=True)
        await account.settled()
        await account.check(inbox, always=True)
        assert list(inbox.uids) == uids[1:], "what was expunged does not come back"
    else:
        assert len(inbox.uids) == 3
        assert (await inbox.read(inbox.uids[2])).endswith(b"more\r\n")
        assert (await inbox.read(uids[0])) == data
    session.right()
    await boxes.close()


async def test_a_name_from_before_brings_no_uid_between(tmp_path: Path) -> None:
    """A file whose name has a UID of this mailbox that was forgotten: sessions hear of messages behind those they know."""
    boxes, account, inbox, root = await started(tmp_path, 3)
    heard: list[Change] = []
    inbox.listen(heard.append)
    name = file_of(root, inbox.uids[1]).name
    path = root / "cur" / name
    data = path.read_bytes()
    path.unlink()
    await account.check(inbox, always=True)
    inbox.loaded.tombstones = Tombstones(since=inbox.highest_modseq)  # as after many thousand expunges
    path.write_bytes(data)
    await account.check(inbox, always=True)
    added = [change for change in heard if isinstance(change, MessagesAdded)]
    assert [min(change.uids) > 3 for change in added] == [True]
    await boxes.close()


async def test_a_start_costs_no_scan(tmp_path: Path, counted: list[str]) -> None:
    """The index says up to which times of the folder it knows all, our own work included."""
    boxes, account, inbox, root = await started(tmp_path, 3)
    await inbox.store(inbox.uids[:2], How.ADD, Flags.SEEN)
    await inbox.expunge(inbox.uids[:1], force=True)
    uids = list(inbox.uids)
    await boxes.close()
    counted.clear()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    assert list(inbox.uids) == uids
    assert (await account.usage()).messages == 2
    assert counted == []
    await boxes.close()
    (root / "new" / "1700000000.x.y").write_bytes(BODY)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    assert len((await account.open("INBOX")).uids) == 3
    await boxes.close()


async def test_what_our_own_work_hid_is_seen_after_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, account, inbox, root = await started(tmp_path, 1)
    await inbox.check()
    await append(account)
    times = account.maildir.times("")
    (root / "new" / "1700000000.x.y").write_bytes(BODY)
    for part, time in zip(("cur", "new"), times, strict=True):
        os.utime(root / part, ns=(time, time))
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    monkeypatch.setattr(others, "RESCAN_SECONDS", -1.0)
    await inbox.check()
    assert len(inbox.uids) == 3
    await boxes.close()


async def test_a_large_mailbox_is_answered_before_its_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes, account, inbox, root = await started(tmp_path, 4)
    await inbox.check()
    await boxes.close()
    (root / "new" / "1700000000.x.y").write_bytes(BODY)
    monkeypatch.setattr(accounts, "MANY", 3)
    go_on = threading.Event()
    real = scans.scan

    def waiting(*arguments: object) -> scans.Found:
        go_on.wait(20)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(others, "scan", waiting)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    inbox = await account.open("INBOX")
    again = await account.open("INBOX")
    assert len(again.uids) == 4, "nobody waits for the scan, nor for the turn that it holds"
    heard: asyncio.Queue[Change] = asyncio.Queue()
    inbox.listen(heard.put_nowait)
    go_on.set()
    assert await asyncio.wait_for(heard.get(), 20) == MessagesAdded((5,))
    await boxes.close()
