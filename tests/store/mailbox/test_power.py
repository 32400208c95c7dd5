"""A power cut after any single step, by the strict model of tests/support/power.py.

What was answered is there; what was not is there whole or not at all; no UID and no MODSEQ that anybody heard of comes again.
"""

import os
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.disk import Disk
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.journal import SNAPSHOT_ROWS
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import (
    AccountFolder,
    Change,
    FlagsChanged,
    How,
    MailboxGone,
    MessagesAdded,
    MessagesExpunged,
    NewMessage,
)
from tests.store.mailbox.test_account import append
from tests.support.power import Image, PowerDisk

ROUNDS = int(os.environ.get("MAILSTACK_POWER_CHOICES", "1"))  # random choices for each image, beside the strict one
NO_FLAGS = Flags(0)


class QuickDisk(Disk):
    """For looking only."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, path: Path | str) -> None:
        pass


def place(folder: Path) -> AccountFolder:
    return AccountFolder(folder, folder / "index.sqlite3")


@dataclass
class Heard:
    """What sessions were told: nothing of it may be unsaid."""

    answered: bool = False
    uids: dict[str, int] = field(default_factory=dict)  # mailbox id -> the highest UID
    modseqs: dict[str, int] = field(default_factory=dict)  # mailbox id -> the highest MODSEQ

    def note(self) -> tuple[bool, dict[str, int], dict[str, int]]:
        return self.answered, dict(self.uids), dict(self.modseqs)


async def picture(account: Account) -> dict[str, object]:
    """All that must survive. MODSEQs only rise, and are looked at apart."""
    seen: dict[str, object] = {"subscriptions": account.subscriptions()}
    names = [info.name for info in await account.listing() if info.selectable]
    seen["annotations"] = [one for one in zip(names, await account.annotations(names), strict=True) if one[1]]
    for info in await account.listing():
        if info.selectable:
            mailbox = await account.open(info.name)
            bodies = await mailbox.read_many(list(mailbox.uids))
            seen[info.name] = (
                mailbox.id,
                mailbox.uid_validity,
                info.special_use,
                [
                    (
                        uid,
                        bodies.get(uid),
                        mailbox.flags[n] & 0x3F,
                        mailbox.dates[n],
                        sorted(mailbox.keyword_names(mailbox.flags[n])),
                    )
                    for n, uid in enumerate(mailbox.uids)
                ],
            )
            mailbox.release()
    return seen


async def listen(account: Account, heard: Heard) -> None:
    """To all mailboxes, as sessions do."""
    for info in await account.listing():
        mailbox = await account.open(info.name)
        heard.uids[mailbox.id] = mailbox.uid_next - 1
        heard.modseqs[mailbox.id] = mailbox.highest_modseq

        def hear(change: Change, mailbox: Mailbox = mailbox) -> None:
            id = mailbox.id
            heard.modseqs[id] = max(heard.modseqs[id], mailbox.highest_modseq)
            match change:
                case MessagesAdded(uids):
                    heard.uids[id] = max(heard.uids[id], *uids)
                case FlagsChanged(_, modseq) | MessagesExpunged(_, modseq):
                    heard.modseqs[id] = max(heard.modseqs[id], modseq)
                case MailboxGone():
                    pass

        mailbox.listen(hear)


async def fill(folder: Path) -> None:
    """A mailbox with messages of all kinds, another with other letters for the same keywords, a tree."""
    boxes = Mailboxes("mail.a.test", QuickDisk())
    account = await boxes.account(place(folder))
    await append(account, b"Subject: old\r\n\r\n", "Archive", keywords=frozenset({"other", "two"}))
    for number in range(4):
        keywords = frozenset({"one", "two"}) if number % 2 else frozenset[str]()
        await append(account, b"Subject: %d\r\n\r\n%d\r\n" % (number, number), flags=Flags(number * 4), keywords=keywords)
    await append(account, b"Subject: fresh\r\n\r\n", fresh=True)
    for name in ("Tree", "Tree/a", "Tree/a/b"):
        await account.create(name)
        await append(account, f"Subject: {name}\r\n\r\n".encode(), name)
    await boxes.close()


# Operations ---------------------------------------------------------------------------------------------------------


async def deliver(account: Account) -> None:
    await append(account, b"Subject: new\r\n\r\n", fresh=True)


async def deliver_from_the_queue(account: Account) -> None:
    await append(account, b"Subject: new\r\n\r\n", fresh=True, once=True, unique="0123456789abcdef.0")


async def deliver_into_several(account: Account) -> None:
    """What a rule of the account wants: together or not at all."""
    content = Content.of(b"Subject: new\r\n\r\n")
    copies = [("INBOX", "", Flags(0)), ("Archive", "-1", Flags.SEEN), ("Tree/a", "-2", Flags(0))]
    words = frozenset({"filed"})
    await account.deliver(
        [
            (name, NewMessage(content, flags=flags, keywords=words, unique=f"0123456789abcdef.0{end}", fresh=True, once=True))
            for name, end, flags in copies
        ]
    )


async def append_one(account: Account) -> None:
    await append(account, b"Subject: new\r\n\r\n", "Archive", flags=Flags.SEEN, keywords=frozenset({"brand-new"}))


async def multiappend(account: Account) -> None:
    messages = [NewMessage(Content.of(b"Subject: %d\r\n\r\n" % number), flags=Flags.DRAFT) for number in range(4)]
    await account.commit([await account.prepare("Archive", message) for message in messages])


async def store(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.store(inbox.uids, How.ADD, Flags.FLAGGED, frozenset({"three"}))


async def store_less(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.store(inbox.uids, How.REPLACE, Flags.SEEN, frozenset({"four"}))


async def copy(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.copy(inbox.uids, "Archive")


async def copy_to_itself(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.copy(inbox.uids, "INBOX")


async def move(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.move(inbox.uids, "Archive")


async def replace(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.replace(
        inbox.uids[1], "INBOX", NewMessage(Content.of(b"Subject: better\r\n\r\n"), keywords=frozenset({"five"}))
    )


async def replace_elsewhere(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.replace(inbox.uids[-1], "Archive", NewMessage(Content.of(b"Subject: better\r\n\r\n"), flags=Flags.SEEN))


async def expunge(account: Account) -> None:
    inbox = await account.open("INBOX")
    await inbox.expunge(inbox.uids[1:], force=True)


async def create(account: Account) -> None:
    await account.create("New/box")


async def delete(account: Account) -> None:
    await account.delete("Tree/a")


async def rename_tree(account: Account) -> None:
    await account.rename("Tree", "Wood")


async def rename_inbox(account: Account) -> None:
    await account.rename("INBOX", "Old mail")


async def subscribe(account: Account) -> None:
    await account.subscribe("Tree/a")


async def annotate(account: Account) -> None:
    await account.annotate("Tree", {"/private/comment": b"new", "/shared/comment": b"also new"})


async def cross_a_mark(account: Account) -> None:
    """The next UID and the next MODSEQ are the last ones of their blocks."""
    for number in range(3):
        await append(account, b"Subject: mark %d\r\n\r\n" % number, "Archive")


async def snapshot(account: Account) -> None:
    inbox = await account.open("INBOX")
    account._journal.rows = SNAPSHOT_ROWS
    await inbox.store(inbox.uids[:2], How.ADD, Flags.ANSWERED)


async def many_in_a_row(account: Account) -> None:
    """Promises that trail behind each other."""
    inbox = await account.open("INBOX")
    uids = list(inbox.uids)
    copied = await inbox.copy(uids[:2], "Archive")
    await inbox.expunge(uids[:2], force=True)
    archive = await account.open("Archive")
    await archive.store(copied.uids, How.ADD, Flags.SEEN, frozenset({"late"}))
    await archive.move(copied.uids, "Trash")


# What these did can be read from the names of files alone: with them the index may be lost at any instant.
TOLD_BY_FILES = {deliver, deliver_from_the_queue, append_one, cross_a_mark}
# Some are done in several steps that are whole by themselves; then all but the first and the last picture may differ.
IN_STEPS = {rename_inbox, cross_a_mark, many_in_a_row}
OPERATIONS = (
    deliver, deliver_from_the_queue, deliver_into_several, append_one, multiappend, store, store_less, copy,
    copy_to_itself, move, replace, replace_elsewhere, expunge, create, delete,
    rename_tree, rename_inbox, subscribe, annotate, cross_a_mark, snapshot, many_in_a_row,
)  # fmt: skip


def choices(operation: Callable[[Account], Awaitable[None]]) -> list[str]:
    """Ways in which an image may come back."""
    found = ["durable", "new mail first", *(f"random {number}" for number in range(ROUNDS))]
    return [*found, "no index"] if operation in TOLD_BY_FILES else found


@asynccontextmanager
async def looking(disk: PowerDisk, image: Image, target: Path, chance: random.Random, choice: str) -> AsyncIterator[Account]:
    disk.materialise(image, target, chance if choice.startswith("random") else None)
    if choice == "no index":
        for path in target.rglob("index.sqlite3*"):
            path.unlink()
    boxes = Mailboxes("mail.a.test", QuickDisk())
    yield await boxes.account(place(target / "account"))
    await boxes.close()


async def nothing_is_unsaid(account: Account, image: Image, quiet: set[str]) -> None:
    """What is given from now on is above all that anybody heard of; nobody heard anything of those in `quiet`."""
    _, uids, modseqs = image.note
    for info in [one for one in await account.listing() if one.selectable]:
        if account._folders.find(info.name).id in quiet:
            continue
        uid = await append(account, name=info.name)
        mailbox = await account.open(info.name)
        assert uid > uids.get(mailbox.id, 0), f"UID {uid} of {info.name} was given before"
        assert mailbox.modseqs[mailbox.uids.index(uid)] > modseqs.get(mailbox.id, 0), f"MODSEQ of {info.name} went back"
        mailbox.release()


def quiet_mailboxes(disk: PowerDisk) -> set[str]:
    first, last = disk.images[0].note, disk.images[-1].note
    return {id for id in first[1] if first[1][id] == last[1].get(id) and first[2][id] == last[2].get(id)}


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where it can be: real flushes cost time and mean nothing to the model."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="mailstack-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_the_power_goes_after_each_step(tmp_path: Path, operation: Callable[[Account], Awaitable[None]]) -> None:
    world = tmp_path / "world"
    await fill(world / "account")
    heard = Heard()
    disk = PowerDisk(world, tmp_path / "vault", heard.note)
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(world / "account"))
    await listen(account, heard)
    if operation is cross_a_mark:
        archive = await account.open("Archive")
        archive.loaded.uid_next = archive.marks.uid_mark - 1
        archive.loaded.highest_modseq = archive.marks.modseq_mark - 2
    before = await picture(account)
    await account.settled()
    disk.settle()
    await operation(account)
    heard.answered = True
    await account.settled()
    after = await picture(account)
    await boxes.close()
    disk.recording = False
    assert before != after
    chance = random.Random(operation.__name__)
    quiet = quiet_mailboxes(disk)
    seen, done, undone = set[object](), 0, 0
    for number, image in enumerate(disk.images):
        key = image.key
        if key in seen:
            continue
        seen.add(key)
        for choice in choices(operation):
            what = f"cut after step {number} ({image.step}), {choice}"
            async with looking(disk, image, tmp_path / f"{number}-{choice}", chance, choice) as again:
                if choice != "new mail first":
                    # Else deliveries come before anybody looked at the folders.
                    found = await picture(again)
                    if image.note[0]:
                        assert found == after, f"answered and lost: {what}"
                        done += 1
                    elif operation not in IN_STEPS:
                        assert found in (before, after), f"half done: {what}"
                        undone += found == before
                await nothing_is_unsaid(again, image, quiet)
                await whole(again)
    assert done
    assert undone or operation in IN_STEPS
    disk.forget()


async def whole(account: Account) -> None:
    """No message without its file."""
    for name, one in (await picture(account)).items():
        if isinstance(one, tuple):
            for uid, body, *_ in one[3]:
                assert body, f"{name}/{uid} has no file"


async def test_an_account_in_the_making(tmp_path: Path) -> None:
    """Its first message is answered only when all of it is there."""
    world = tmp_path / "world"
    world.mkdir()
    answered = [False]
    disk = PowerDisk(world, tmp_path / "vault", lambda: (answered[0], {}, {}))
    disk.settle()
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(world / "account"))
    await append(account, b"Subject: first\r\n\r\n", fresh=True)
    answered[0] = True
    names = {info.name: info.special_use for info in await account.listing()}
    subscribed = account.subscriptions()
    await boxes.close()
    disk.recording = False
    chance = random.Random(1)
    for number, image in enumerate(disk.images):
        for choice in ("durable", *(f"random {one}" for one in range(ROUNDS))):
            async with looking(disk, image, tmp_path / f"{number}-{choice}", chance, choice) as again:
                assert {info.name: info.special_use for info in await again.listing()} == names, f"{number}: {image.step}"
                assert again.subscriptions() == subscribed
                if image.note[0]:
                    assert (await again.status("INBOX")).messages == 1
                await append(again)
    disk.forget()


async def test_files_of_others_are_adopted(tmp_path: Path) -> None:
    """Each is there once, with a UID that nobody else had."""
    world = tmp_path / "world"
    await fill(world / "account")
    root = world / "account/Maildir"
    bodies = set()
    for number in range(4):
        part = "new" if number % 2 else "cur"
        body = b"Subject: foreign %d\n\n" % number
        (root / part / f"17000000{number}.x.y{'' if number % 2 else ':2,F'}").write_bytes(body)
        bodies.add(body.replace(b"\n", b"\r\n"))
    kept = next((root / "cur").glob("*,M=*.1:2,"))
    kept.rename(str(kept) + "FS")
    heard = Heard()
    disk = PowerDisk(world, tmp_path / "vault", heard.note)
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(world / "account"))
    disk.settle()
    await listen(account, heard)
    heard.answered = True
    after = await picture(account)
    await boxes.close()
    disk.recording = False
    chance = random.Random(2)
    quiet = quiet_mailboxes(disk)
    for number, image in enumerate(disk.images):
        for choice in ("durable", *(f"random {one}" for one in range(ROUNDS))):
            async with looking(disk, image, tmp_path / f"{number}-{choice}", chance, choice) as again:
                found = await picture(again)
                if image.note[0]:
                    assert found == after, f"{number}: {image.step}"
                rows = found["INBOX"][3]  # type: ignore[index]
                assert len(rows) == 5 + len(bodies)
                assert bodies < {row[1] for row in rows}
                assert rows[0][2] == Flags.FLAGGED | Flags.SEEN
                await nothing_is_unsaid(again, image, quiet)
    disk.forget()


class Liar(PowerDisk):
    """Flushes nothing, and says it did: the model must see it."""

    def _flush_file(self, descriptor: int) -> None:
        pass

    def _flush_folder(self, path: Path) -> None:
        pass


@pytest.mark.parametrize("operation", [append_one, deliver], ids=lambda operation: operation.__name__)
async def test_control_a_disk_that_lies_loses_mail(tmp_path: Path, operation: Callable[[Account], Awaitable[None]]) -> None:
    world = tmp_path / "world"
    await fill(world / "account")
    disk = Liar(world, tmp_path / "vault")
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(world / "account"))
    disk.settle()
    await operation(account)
    after = await picture(account)
    image = disk.images[-1]
    await boxes.close()
    async with looking(disk, image, tmp_path / "after", random.Random(3), "durable") as again:
        assert await picture(again) != after
    disk.forget()
