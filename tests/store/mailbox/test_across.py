"""From one account into another: stopped after any step no message is lost. To whom a mailbox is open is never half said."""

import asyncio
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.errors import NoSuchMailbox, OverQuota, StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.across import copy_across
from mailstack.store.mailbox.grants import Grant, Grants
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import Change, GrantsChanged
from tests.store.mailbox.test_account import append, place
from tests.support.faults import Stopped, StoppingDisk

COUNT = 5


async def move(source: Account, target: Account, spool: Path) -> None:
    inbox = await source.open("INBOX")
    copied = await copy_across(inbox, inbox.uids, target, "Archive", -1, spool)
    await inbox.expunge(copied.sources, force=True)


async def bodies(account: Account, name: str) -> list[bytes]:
    mailbox = await account.open(name)
    found = await mailbox.read_many(list(mailbox.uids))
    assert len(found) == len(mailbox.uids), "a message has no file"
    mailbox.release()
    return sorted(found.values())


async def quiet(*accounts: Account) -> None:
    for account in accounts:
        for task in (account._promises._worker, account._appender._worker):
            if task is not None:
                await asyncio.wait((task,))
                if not task.cancelled():
                    task.exception()


async def test_a_move_stopped_after_each_step(tmp_path: Path) -> None:
    sent = sorted(b"Subject: %d\r\n\r\n" % number for number in range(COUNT))
    for steps in range(200):
        folders = [place(tmp_path / str(steps) / name) for name in ("alice", "bob")]
        boxes = Mailboxes("mail.a.test")
        for data in sent:
            await append(await boxes.account(folders[0]), data)
        await boxes.account(folders[1])
        await boxes.close()
        disk = StoppingDisk(10_000)
        boxes = Mailboxes("mail.a.test", disk)
        source, target = [await boxes.account(folder) for folder in folders]
        await source.status("INBOX")
        await target.status("Archive")
        disk.left = steps
        answered = False
        try:
            await move(source, target, tmp_path)
            answered = True
        except Stopped:
            pass
        except StoreFailed as problem:
            if problem.detail != "Stopped":
                raise
        await quiet(source, target)
        finished = disk.left > 0
        again = Mailboxes("mail.a.test")
        source, target = [await again.account(folder) for folder in folders]
        seen = await bodies(source, "INBOX"), await bodies(target, "Archive")
        assert seen in ((sent, []), (sent, sent), ([], sent)), f"half done after {steps} steps: {disk.done}"
        if answered:
            assert seen == ([], sent)
        await again.close()
        if finished:
            assert steps > 4
            return
    raise AssertionError("the move has no end")


async def test_what_goes_meanwhile_is_left_out(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    source, target = [await boxes.account(place(tmp_path / name)) for name in ("alice", "bob")]
    for number in range(COUNT):
        await append(source, b"Subject: %d\r\n\r\n" % number)
    inbox = await source.open("INBOX")
    uids = list(inbox.uids)
    await inbox.expunge(uids[1:3], force=True)
    copied = await copy_across(inbox, uids, target, "Archive", int(Flags.SEEN), tmp_path)
    assert list(copied.sources) == [uids[0], *uids[3:]]
    assert len(copied.uids) == 3
    await inbox.expunge(inbox.uids, force=True)
    assert (await copy_across(inbox, uids, target, "Archive", -1, tmp_path)).uids == ()
    await boxes.close()


async def test_what_can_not_be_leaves_nothing(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    source, target = [await boxes.account(place(tmp_path / name)) for name in ("alice", "bob")]
    for number in range(COUNT):
        await append(source, b"Subject: %d\r\n\r\n" % number)
    inbox = await source.open("INBOX")
    with pytest.raises(NoSuchMailbox):
        await copy_across(inbox, inbox.uids, target, "Nothing", -1, tmp_path)
    target.quota = 20
    with pytest.raises(OverQuota):
        await copy_across(inbox, inbox.uids, target, "Archive", -1, tmp_path)
    target.quota = None
    assert await bodies(target, "Archive") == []
    await boxes.close()
    assert not list(tmp_path.glob("bob/Maildir/**/tmp/*"))


async def test_grants_stopped_after_each_step(tmp_path: Path) -> None:
    old: Grants = (Grant("a.test/bob", "bob@a.test", "lr"),)
    new: Grants = (Grant("a.test/carol", "carol@a.test", "lrs"), Grant(None, "anyone", "r", negative=True))
    for steps in range(50):
        folder = place(tmp_path / str(steps))
        boxes = Mailboxes("mail.a.test")
        await (await boxes.account(folder)).share("Sent", lambda _: old)
        await boxes.close()
        disk = StoppingDisk(10_000)
        account = await Mailboxes("mail.a.test", disk).account(folder)
        assert account.grants("Sent") == old
        told: list[Change] = []
        account.look("Sent").listen(told.append)
        disk.left = steps
        answered = False
        try:
            await account.share("Sent", lambda _: new)
            answered = True
        except Stopped:
            pass
        except StoreFailed as problem:
            if problem.detail != "Stopped":
                raise
        assert account.grants("Sent") == (new if answered else old)
        assert told == ([GrantsChanged()] if answered else [])
        finished = disk.left > 0
        again = Mailboxes("mail.a.test")
        account = await again.account(folder)
        assert account.grants("Sent") in ((new,) if answered else (old, new))
        await again.close()
        if finished:
            assert steps > 2
            return
    raise AssertionError("it has no end")


async def test_grants_go_with_their_mailbox(tmp_path: Path) -> None:
    grants: Grants = (Grant("a.test/bob", "bob@a.test", "lr"),)
    folder = place(tmp_path / "alice")
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    await account.share("INBOX", lambda _: grants)
    await account.create("Team")
    await account.share("Team", lambda _: grants)
    await account.create("Team/Below")
    await account.rename("Team", "Crew")
    await account.create("Team")
    await boxes.close()
    account = await Mailboxes("mail.a.test").account(folder)
    open_to = {mailbox.name for mailbox in account.mailboxes() if mailbox.grants == grants}
    assert open_to == {"INBOX", "Crew", "Crew/Below"}
    assert len(account.all_grants()) == 3
