"""Positions of UIDs where one that is asked for is gone, and another one stands between that nobody asked for."""

from pathlib import Path

import pytest

from mailstack.imap.selected import Selected
from mailstack.store.mailbox.mailboxes import Mailboxes
from tests.store.mailbox.test_account import append, place


@pytest.mark.parametrize(
    ("uids", "found"),
    [([3, 4, 6], [3, 6]), ([3, 5, 6], [3, 5, 6]), ([1, 2, 3, 4, 5], [1, 2, 3, 5]), ([2, 4, 6], [2, 6]), ([], []), ([4], [])],
)
async def test_only_what_was_asked_for(tmp_path: Path, uids: list[int], found: list[int]) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    for _ in range(6):
        await append(account)
    mailbox = await account.open("INBOX")
    await mailbox.expunge([4], force=True)
    view = Selected(mailbox, False, None)
    assert [mailbox.uids[one] for one in mailbox.loaded.positions(uids)] == found
    assert [mailbox.uids[one] for one in mailbox.places(uids) if one is not None] == found
    assert [view.uids[number - 1] for number in view.labels(uids) if number] == found
    assert await mailbox.expunge(uids, force=True) == tuple(found)
    mailbox.release()
    await boxes.close()
