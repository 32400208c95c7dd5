"""A change of many messages is planned piece by piece: others are served meanwhile, and the plan stays true."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.mailbox import changing
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import AccountFolder, How, NewMessage

MESSAGES = 12


async def _store(mailbox: Mailbox) -> object:
    return await mailbox.store(list(mailbox.uids), How.ADD, Flags.DELETED)


async def _expunge(mailbox: Mailbox) -> object:
    return await mailbox.expunge(list(mailbox.uids), force=True)


async def _copy(mailbox: Mailbox) -> object:
    return await mailbox.copy(list(mailbox.uids), "Archive")


async def _move(mailbox: Mailbox) -> object:
    return await mailbox.move(list(mailbox.uids), "Archive")


@pytest.mark.parametrize("change", [_store, _expunge, _copy, _move])
async def test_others_are_served_while_it_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Mailbox], Coroutine[object, object, object]]
) -> None:
    monkeypatch.setattr(changing, "AT_ONCE", 1)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(AccountFolder(tmp_path / "account", tmp_path / "account" / "index.sqlite3", None))
    await account.append_all("INBOX", [NewMessage(Content.of(b"Subject: %d\r\n\r\n" % n)) for n in range(MESSAGES)])
    archive, mailbox = await account.open("Archive"), await account.open("INBOX")
    served = hopping = 0
    hop = Surroundings.hop

    async def others() -> None:
        nonlocal served
        while True:
            served += not hopping
            await asyncio.sleep(0)

    async def seen(self: Surroundings, *arguments: object, **named: object) -> object:
        nonlocal hopping
        hopping += 1
        try:
            return await hop(self, *arguments, **named)  # type: ignore[arg-type]
        finally:
            hopping -= 1

    monkeypatch.setattr(Surroundings, "hop", seen)
    busy = asyncio.create_task(others())
    await change(mailbox)
    busy.cancel()
    assert served >= MESSAGES - 1
    flags, gone, moved = list(mailbox.flags), len(mailbox.uids), len(archive.uids)
    assert (flags == [int(Flags.DELETED)] * MESSAGES) == (change is _store)
    left: dict[object, tuple[int, int]] = {_store: (12, 0), _expunge: (0, 0), _copy: (12, 12), _move: (0, 12)}
    assert (gone, moved) == left[change]
    await boxes.close()
