"""Deleted messages are kept for a while, out of sight; stopped after any step, none is lost and none is there twice."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.disk import Disk, PathName
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.exhuming import bring_back, forget
from mailstack.store.mailbox.graves import Grave, KeepDeleted, graves, purge
from mailstack.store.mailbox.mailboxes import Mailboxes
from tests.store.mailbox.test_account import append, everything, place
from tests.support.faults import Stopped, StoppingDisk

COUNT = 3


def keeping(disk: Disk | None = None) -> Mailboxes:
    return Mailboxes("mail.a.test", disk, keep_deleted=KeepDeleted(86400.0, 0))


async def filled(folder: Path, disk: Disk | None = None) -> tuple[Mailboxes, Account]:
    boxes = keeping(disk)
    account = await boxes.account(place(folder))
    for number in range(COUNT):
        text = f"Subject: {number}\r\n\r\n".encode()
        await append(account, text, flags=Flags.SEEN | Flags.DELETED, keywords=frozenset({"$Later", f"k{number}"}))
    return boxes, account


async def expunge(account: Account) -> None:
    mailbox = await account.open("INBOX")
    try:
        await mailbox.expunge(mailbox.uids)
    finally:
        mailbox.release()


def found(account: Account) -> list[Grave]:
    return sorted(graves(account.folder.path), key=lambda grave: grave.path.name)


async def test_what_was_expunged_comes_back_as_it_was(tmp_path: Path) -> None:
    boxes, account = await filled(tmp_path, None)
    before = await everything(account)
    await expunge(account)
    await account.settled()
    assert len(found(account)) == COUNT
    assert (await account.usage()).octets == 0
    assert not list(account.maildir.root.rglob("*Subject*"))
    assert not list(account.maildir.root.rglob("*/*:2,*")), "no program that looks at the Maildir sees them"
    assert await bring_back(account, found(account), tmp_path, Disk()) == {"INBOX": COUNT}
    assert found(account) == []
    after = await everything(account)
    mailbox = await account.open("INBOX")
    assert list(mailbox.uids) == [4, 5, 6]
    mailbox.release()
    (_, _, rows, texts), (_, _, rows_now, texts_now) = before["INBOX"], after["INBOX"]  # type: ignore[misc]
    assert texts_now == texts
    assert [(flags, words, date) for _, flags, words, _, date in rows_now] == [
        (flags & ~Flags.DELETED, words, date) for _, flags, words, _, date in rows
    ]
    await boxes.close()


async def test_a_removed_mailbox_comes_back_with_its_messages(tmp_path: Path) -> None:
    boxes, account = await filled(tmp_path)
    await account.create("Work/été")
    mailbox = await account.open("INBOX")
    await mailbox.move([1, 2], "Work/été")
    mailbox.release()
    await account.delete("Work/été")
    assert [grave.mailbox for grave in found(account)] == ["Work/été", "Work/été"]
    assert await bring_back(account, found(account), tmp_path, Disk()) == {"Work/été": 2}
    mailbox = await account.open("Work/été")
    assert mailbox.keyword_names(mailbox.flags[1]) in (["$Later", "k1"], ["k1", "$Later"])
    mailbox.release()
    await boxes.close()


async def test_drafts_and_what_moved_to_another_account_are_not_kept(tmp_path: Path) -> None:
    boxes = keeping()
    account = await boxes.account(place(tmp_path))
    await append(account, flags=Flags.DRAFT | Flags.DELETED)
    await append(account)
    await expunge(account)
    mailbox = await account.open("INBOX")
    await mailbox.expunge(mailbox.uids, force=True, keep=False)
    mailbox.release()
    await account.settled()
    assert found(account) == []
    await boxes.close()


async def test_purged_by_time_by_size_and_by_hand(tmp_path: Path) -> None:
    boxes, account = await filled(tmp_path)
    await expunge(account)
    await account.settled()
    path = account.folder.path
    size = found(account)[0].size
    assert purge(path, Disk(), 0.0, 2 * size) == 1
    assert forget(found(account)[:1], Disk()) == 1
    assert purge(path, Disk(), 0.0, 0) == 0
    assert purge(path, Disk(), 2e9, 0) == 1
    assert found(account) == []
    await boxes.close()


class FullDisk(Disk):
    def rename(self, source: PathName, target: PathName) -> None:
        if b"/deleted/" in (target if isinstance(target, bytes) else str(target).encode()):
            raise OSError(errno.ENOSPC, "full")
        super().rename(source, target)


async def test_on_a_full_disk_they_go_at_once(tmp_path: Path) -> None:
    boxes, account = await filled(tmp_path, FullDisk())
    await expunge(account)
    await account.settled()
    assert found(account) == []
    assert not list(account.maildir.root.rglob("cur/*"))
    await boxes.close()


async def delete_mailbox(account: Account) -> None:
    await account.delete("Work")


async def restore(account: Account) -> None:
    await bring_back(account, found(account), account.folder.path, account._with.disk)


async def prepared(folder: Path, operation: Callable[[Account], Awaitable[None]]) -> None:
    boxes, account = await filled(folder)
    await account.create("Work")
    mailbox = await account.open("INBOX")
    if operation is delete_mailbox:
        await mailbox.move(mailbox.uids, "Work")
    elif operation is restore:
        await mailbox.expunge(mailbox.uids)
        await account.settled()
    mailbox.release()
    await boxes.close()


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.crash)])
@pytest.mark.parametrize("operation", [expunge, delete_mailbox, restore], ids=lambda operation: operation.__name__)
async def test_stopped_after_each_step(tmp_path: Path, operation: Callable[[Account], Awaitable[None]], stride: int) -> None:
    await prepared(tmp_path / "template", operation)
    for steps in range(0, 200, stride):
        folder = tmp_path / str(steps)
        shutil.copytree(tmp_path / "template", folder)
        disk = StoppingDisk(10_000)
        boxes = keeping(disk)
        account = await boxes.account(place(folder))
        await account.status("INBOX")
        await account.status("Work")
        disk.left = steps
        try:
            await operation(account)
        except Stopped:
            pass
        except StoreFailed as problem:
            if problem.detail != "Stopped":
                raise
        for task in (account._promises._worker, account._appender._worker):
            if task is not None:
                await asyncio.wait((task,))
                if not task.cancelled() and not isinstance(task.exception(), Stopped | None):
                    raise AssertionError from task.exception()
        finished = disk.left > 0
        again = keeping()
        account = await again.account(place(folder))
        if operation is restore:
            await bring_back(account, found(account), tmp_path, Disk())
        await account.settled()
        texts = []
        for name in account.names():
            mailbox = await account.open(name)
            texts += (await mailbox.read_many(list(mailbox.uids))).values()
            mailbox.release()
        texts += [grave.path.read_bytes() for grave in found(account)]
        assert sorted(texts) == [f"Subject: {number}\r\n\r\n".encode() for number in range(COUNT)], (steps, disk.done)
        await again.close()
        if finished:
            assert steps > 2
            return
    raise AssertionError("the operation has no end")
