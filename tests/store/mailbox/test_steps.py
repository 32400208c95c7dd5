"""Stopped after any single step: what was answered is there, what was not is there whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import How, NewMessage
from tests.store.mailbox.test_account import append, place
from tests.support.faults import Stopped, StoppingDisk

COUNT = 5


async def store(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.store(mailbox.uids, How.ADD, Flags.FLAGGED, frozenset({"$New"}))


async def copy(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.copy(mailbox.uids, "Archive")


async def move(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.move(mailbox.uids, "Archive")


async def expunge(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.expunge(mailbox.uids, force=True)


async def replace(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.replace(mailbox.uids[1], "Archive", NewMessage(Content.of(b"Subject: r\r\n\r\n")))


async def replace_here(account: Account) -> None:
    mailbox = await account.open("INBOX")
    await mailbox.replace(mailbox.uids[1], "INBOX", NewMessage(Content.of(b"Subject: r\r\n\r\n"), flags=Flags.FLAGGED))


async def multiappend(account: Account) -> None:
    prepared = [await account.prepare("Archive", NewMessage(Content.of(b"Subject: m\r\n\r\n"))) for _ in range(COUNT)]
    await account.commit(prepared)


async def append_one(account: Account) -> None:
    await append(account, name="Archive")


# What a client sees afterwards: (messages in INBOX, how many of them flagged, messages in Archive), not done and done.
OUTCOMES = {
    store: ((COUNT, 0, 0), (COUNT, COUNT, 0)),
    copy: ((COUNT, 0, 0), (COUNT, 0, COUNT)),
    move: ((COUNT, 0, 0), (0, 0, COUNT)),
    expunge: ((COUNT, 0, 0), (0, 0, 0)),
    replace: ((COUNT, 0, 0), (COUNT - 1, 0, 1)),
    replace_here: ((COUNT, 0, 0), (COUNT, 1, 0)),
    multiappend: ((COUNT, 0, 0), (COUNT, 0, COUNT)),
    append_one: ((COUNT, 0, 0), (COUNT, 0, 1)),
}


async def look(account: Account) -> tuple[int, int, int]:
    inbox, archive = await account.open("INBOX"), await account.open("Archive")
    flagged = sum(1 for flags in inbox.flags if flags & Flags.FLAGGED)
    for mailbox in (inbox, archive):
        bodies = await mailbox.read_many(list(mailbox.uids))
        assert len(bodies) == len(mailbox.uids), "a message has no file"
    seen = (len(inbox.uids), flagged, len(archive.uids))
    inbox.release()
    archive.release()
    return seen


@pytest.mark.parametrize("operation", OUTCOMES, ids=lambda operation: operation.__name__)
async def test_stopped_after_each_step(tmp_path: Path, operation: Callable[[Account], Awaitable[None]]) -> None:
    before, after = OUTCOMES[operation]
    for steps in range(200):
        folder = tmp_path / str(steps)
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(place(folder))
        for number in range(COUNT):
            await append(account, f"Subject: {number}\r\n\r\n".encode())
        given = (await account.status("Archive")).uid_next
        await boxes.close()
        disk = StoppingDisk(10_000)
        boxes = Mailboxes("mail.a.test", disk)
        account = await boxes.account(place(folder))
        await account.status("INBOX")
        await account.status("Archive")
        disk.left = steps
        answered = False
        try:
            await operation(account)
            answered = True
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
        again = Mailboxes("mail.a.test")
        account = await again.account(place(folder))
        seen = await look(account)
        assert seen in (before, after), f"{operation.__name__} half done after {steps} steps: {disk.done}"
        if answered:
            assert seen == after, f"{operation.__name__} answered and lost after {steps} steps: {disk.done}"
        assert await append(account, name="Archive") >= given
        await again.close()
        if finished:
            assert steps > 2
            return
    raise AssertionError("the operation has no end")
