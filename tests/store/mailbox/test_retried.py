"""A delivery of the queue that was cut off and is tried again, in another second: the mailbox has one copy."""

import asyncio
from pathlib import Path

import pytest

from mailstack.store.content import Content
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage
from tests.store.mailbox.test_account import append, place
from tests.support.faults import Stopped, StoppingDisk

UNIQUE = "0123456789abcdef.0"
START = 1_800_000_000.0


async def deliver(account: Account, *names: str, again: bool) -> None:
    await account.deliver(
        [
            (name, NewMessage(Content.of(b"Subject: x\r\n\r\n"), unique=f"{UNIQUE}{end}", fresh=True, once=True, again=again))
            for name, end in zip(names, ("", "-1", "-2"), strict=False)
        ]
    )


async def count(account: Account, name: str) -> int:
    mailbox = await account.open(name)
    try:
        assert len(await mailbox.read_many(list(mailbox.uids))) == len(mailbox.uids)
        return len(mailbox.uids)
    finally:
        mailbox.release()


ALONE, TWO = ("INBOX",), ("INBOX", "Archive")
EVERY = pytest.mark.crash


@pytest.mark.parametrize("lost", ["nothing", "the index"])
@pytest.mark.parametrize(
    ("names", "used", "first"),
    [
        pytest.param(ALONE, True, 4, id="alone"),  # from the rename on
        pytest.param(ALONE, True, 0, id="alone, every step", marks=EVERY),
        pytest.param(ALONE, False, 0, id="alone, as the first change", marks=EVERY),
        pytest.param(TWO, True, 0, id="into two", marks=EVERY),
        pytest.param(TWO, False, 0, id="into two, as the first change", marks=EVERY),
    ],
)
async def test_stopped_after_each_step(tmp_path: Path, names: tuple[str, ...], used: bool, first: int, lost: str) -> None:
    for steps in range(first, 60):
        folder = tmp_path / str(steps)
        async with asyncio.timeout(20):
            finished = await _cut_off(folder, steps, names, used=used)
        if lost == "the index" and (len(names) == 1 or finished):
            for index in folder.glob("account/index.sqlite3*"):
                index.unlink()
        boxes = Mailboxes("mail.a.test", clock=lambda: START + 61.0)
        account = await boxes.account(place(folder))
        await deliver(account, *names, again=True)
        for _ in range(2):
            assert [await count(account, name) for name in names] == [2 if name == "INBOX" else 1 for name in names], steps
            await deliver(account, *names, again=True)
        await boxes.close()
        if finished:
            assert steps > 2
            return
    raise AssertionError("the delivery has no end")


async def _cut_off(folder: Path, steps: int, names: tuple[str, ...], *, used: bool) -> bool:
    """A first attempt that ends after so many steps; whether it was done by then."""
    disk = StoppingDisk(10_000)
    boxes = Mailboxes("mail.a.test", disk, clock=lambda: START)
    account = await boxes.account(place(folder))
    await append(account)
    if not used:
        await boxes.close()
        boxes = Mailboxes("mail.a.test", disk, clock=lambda: START)
        account = await boxes.account(place(folder))
    disk.left = steps
    try:
        await deliver(account, *names, again=False)
    except Stopped:
        pass
    except StoreFailed as problem:
        if problem.detail != "Stopped":
            raise
    for task in (account._promises._worker, account._appender._worker):
        if task is not None:
            await asyncio.wait((task,))
            assert task.cancelled() or isinstance(task.exception(), Stopped | None)
    return disk.left > 0


async def test_what_another_program_moved_or_removed_meanwhile_comes_again(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await deliver(account, "INBOX", again=False)
    await boxes.close()
    for index in tmp_path.glob("account/index.sqlite3*"):
        index.unlink()
    (file,) = (tmp_path / "account/Maildir/new").iterdir()
    file.rename(tmp_path / "account/Maildir/.Archive/cur" / f"{file.name}:2,S")
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await deliver(account, "INBOX", again=True)
    assert await count(account, "INBOX") == await count(account, "Archive") == 1
    await boxes.close()
