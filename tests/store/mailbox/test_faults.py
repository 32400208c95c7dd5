"""A full or broken disk: a cause for the door, nothing half done, and work goes on when it is well again."""

import errno
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.errors import NoSpace, StoreFailed
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import How
from tests.store.mailbox.test_account import append, place
from tests.support.faults import FailingDisk


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder"])
@pytest.mark.parametrize(("error", "cause"), [(errno.ENOSPC, NoSpace), (errno.EIO, StoreFailed), (errno.EROFS, StoreFailed)])
async def test_append(tmp_path: Path, step: str, error: int, cause: type[Exception]) -> None:
    disk = FailingDisk((step,))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    await append(account)
    disk.error = error
    with pytest.raises(cause):
        await append(account)
    disk.error = None
    await append(account)
    mailbox = await account.open("INBOX")
    assert len(mailbox.uids) == 2
    mailbox.release()
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    assert (await account.status("INBOX")).messages == 2
    await boxes.close()


async def test_an_append_stands_on_its_file_alone(tmp_path: Path) -> None:
    """The index repeats what the name says: it may fail, and be lost, after the first commit has marked it as behind."""
    disk = FailingDisk(("commit",))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    await append(account)
    disk.error = errno.ENOSPC
    uid = await append(account)
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    mailbox = await account.open("INBOX")
    assert list(mailbox.uids) == [1, uid]
    mailbox.release()
    await boxes.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
async def test_changes(tmp_path: Path, error: int) -> None:
    disk = FailingDisk(("commit",))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    for _ in range(3):
        await append(account)
    mailbox = await account.open("INBOX")
    disk.error = error
    for change in (
        mailbox.store(mailbox.uids, How.ADD, Flags.SEEN),
        mailbox.copy(mailbox.uids, "Archive"),
        mailbox.move(mailbox.uids, "Archive"),
        mailbox.expunge(mailbox.uids, force=True),
    ):
        with pytest.raises((NoSpace, StoreFailed)):
            await change
    assert len(mailbox.uids) == 3
    assert not any(mailbox.flags)
    disk.error = None
    assert len((await mailbox.copy(mailbox.uids, "Archive")).uids) == 3
    mailbox.release()
    await boxes.close()


async def test_a_promise_waits_for_the_disk(tmp_path: Path) -> None:
    disk = FailingDisk(("rename",))
    boxes = Mailboxes("mail.a.test", disk)
    account = await boxes.account(place(tmp_path))
    uid = await append(account)
    mailbox = await account.open("INBOX")
    disk.error = errno.EIO
    await mailbox.store([uid], How.ADD, Flags.SEEN)
    disk.error = None
    assert await mailbox.read(uid) == b"Subject: x\r\n\r\nbody\r\n"
    await boxes.close()
    assert [path.name[-4:] for path in (tmp_path / "account/Maildir/cur").iterdir()] == [":2,S"]
