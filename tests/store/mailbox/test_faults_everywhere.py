"""A disk that fails at any single step of any operation, once or for a while.

The operation is done or refused, never half; what is in memory is what is on disk; work goes on without a restart.
"""

import asyncio
import errno
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailstack.store.errors import NoSpace, StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from tests.store.mailbox import test_power as power
from tests.store.mailbox.test_account import append
from tests.support.faults import FailingStepsDisk

ERRORS = ((errno.ENOSPC, NoSpace), (errno.EIO, StoreFailed), (errno.EROFS, StoreFailed), (errno.EDQUOT, NoSpace))
tmp_path = power.tmp_path


def whole(picture: dict[str, object]) -> dict[str, object]:
    """UIDs apart: a refused change may have used some up."""
    return {
        name: (one[0], one[2], [row[1:] for row in one[3]]) if isinstance(one, tuple) else one for name, one in picture.items()
    }


@pytest.mark.parametrize("operation", power.OPERATIONS, ids=lambda operation: operation.__name__)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for a while"])
async def test_each_step_may_fail(tmp_path: Path, operation: Callable[[Account], Awaitable[None]], lasting: bool) -> None:
    errors = itertools.cycle(ERRORS)
    refused = 0
    for step in range(100):
        folder = tmp_path / str(step)
        await power.fill(folder)
        disk = FailingStepsDisk()
        boxes = Mailboxes("mail.a.test", disk)
        account = await boxes.account(power.place(folder))
        heard = power.Heard()
        await power.listen(account, heard)
        before = await power.picture(account)
        error, cause = next(errors)
        disk.fail(step, error, lasting)
        asyncio.get_running_loop().call_later(0.3, disk.well)
        done = False
        try:
            async with asyncio.timeout(20):
                await operation(account)
                done = True
        except cause:
            refused += 1
        failed = disk.failed
        disk.well()
        async with asyncio.timeout(20):
            await account.settled()
        what = f"{operation.__name__}, step {step}: {failed}"
        after = await power.picture(account)
        if not done and operation not in power.IN_STEPS:
            assert whole(after) == whole(before), f"refused, and yet done: {what}"
        # Work goes on.
        uid = await append(account, b"Subject: later\r\n\r\n")
        assert uid > 5
        if not done:
            async with asyncio.timeout(20):
                await again(operation, account)
                await account.settled()
        now = await power.picture(account)
        assert now != after
        for name, one in now.items():
            if isinstance(one, tuple):
                assert all(row[1] for row in one[3]), f"a message of {name} has no file: {what}"
        left = [path.name for path in folder.iterdir()]
        assert {"Maildir", "index.sqlite3", "uidvalidity"} <= set(left)
        await boxes.close()
        if not lasting and operation is not power.multiappend:
            assert not list((folder / "Maildir").rglob("tmp/*")), f"left in tmp/: {what}"
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(power.place(folder))
        assert await power.picture(account) == now, f"memory and disk differ: {what}"
        await boxes.close()
        if failed is None:
            assert refused
            return
    raise AssertionError("the operation has no end")


async def again(operation: Callable[[Account], Awaitable[None]], account: Account) -> None:
    if operation is power.rename_inbox and "Old mail" in [info.name for info in await account.listing()]:
        await account.delete("Old mail")
    if operation in (power.create, power.delete, power.rename_tree):
        names = {info.name for info in await account.listing() if info.selectable}
        assert ("New/box" in names) is False
        assert "Tree/a" in names
    await operation(account)
