"""When a message came into a mailbox, and what stays the same wherever it goes."""

import sqlite3
from pathlib import Path

import pytest

from mailstack.store.mailbox import facts
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from tests.store.mailbox.test_account import append, place


async def dates(account: Account, name: str = "INBOX") -> list[int]:
    mailbox = await account.open(name)
    try:
        return list(mailbox.save_dates)
    finally:
        mailbox.release()


async def ids(account: Account, name: str) -> list[bytes]:
    mailbox = await account.open(name)
    try:
        return [mailbox.object_id(place) for place in range(len(mailbox.uids))]
    finally:
        mailbox.release()


async def test_copies_come_later_and_are_the_same_message(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    boxes = Mailboxes("mail.a.test", clock=lambda: now)
    account = await boxes.account(place(tmp_path))
    for _ in range(3):
        await append(account)
        now += 100
    assert await dates(account) == [1_700_000_000, 1_700_000_100, 1_700_000_200]
    inbox = await account.open("INBOX")
    before = await ids(account, "INBOX")
    await inbox.copy([1], "Archive")
    now += 100
    await inbox.move([2, 3], "Archive")
    inbox.release()
    assert await dates(account) == [1_700_000_000]
    assert await dates(account, "Archive") == [1_700_000_300, 1_700_000_400, 1_700_000_400]
    assert await ids(account, "Archive") == before
    await boxes.close()
    again = Mailboxes("mail.a.test", clock=lambda: now + 1000)
    account = await again.account(place(tmp_path))
    assert await dates(account, "Archive") == [1_700_000_300, 1_700_000_400, 1_700_000_400]
    assert await ids(account, "Archive") == before
    await again.close()


async def test_without_the_index_nobody_knows_and_strangers_come_when_they_are_seen(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await append(account)
    kept = await ids(account, "INBOX")
    await boxes.close()
    for end in ("", "-wal", "-shm"):
        (tmp_path / "account" / f"index.sqlite3{end}").unlink(missing_ok=True)
    (tmp_path / "account" / "Maildir" / "cur" / "1.x.y:2,").write_bytes(b"Subject: y\r\n\r\n")
    again = Mailboxes("mail.a.test", clock=lambda: 1_800_000_000.0)
    account = await again.account(place(tmp_path))
    assert await dates(account) == [0, 1_800_000_000]
    assert (await ids(account, "INBOX"))[0] == kept[0]
    await again.close()


async def test_segments_of_an_older_version_are_read(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    uids = [await append(account) for _ in range(3)]
    await boxes.close()
    connection = sqlite3.connect(tmp_path / "account" / "index.sqlite3")
    rows = connection.execute("SELECT mailbox, number, messages FROM segment").fetchall()
    assert rows
    for mailbox, number, messages in rows:
        old = facts.pack_segment(facts.unpack_segment(messages)[:7])
        connection.execute("UPDATE segment SET messages=? WHERE mailbox=? AND number=?", (old, mailbox, number))
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    again = Mailboxes("mail.a.test")
    account = await again.account(place(tmp_path))
    inbox = await account.open("INBOX")
    assert (list(inbox.uids), list(inbox.save_dates)) == (uids, [0, 0, 0])
    new = await append(account)
    assert [bool(date) for date in inbox.save_dates] == [False, False, False, True]
    inbox.release()
    await again.close()
    third = Mailboxes("mail.a.test")
    account = await third.account(place(tmp_path))
    assert [bool(date) for date in await dates(account)] == [False, False, False, True]
    assert new == uids[-1] + 1
    await third.close()


@pytest.mark.parametrize("unique", ["0abc.1", "0abc.2-1"])
async def test_an_object_id_has_no_dots(tmp_path: Path, unique: str) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await append(account, unique=unique, once=True, fresh=True)
    assert await ids(account, "INBOX") == [unique.replace(".", "_").encode()]
    await boxes.close()


async def test_the_first_words_are_found_however_far_they_are(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    mails = []
    for size in (0, 1 << 14, 1 << 16, 1 << 19, 12 << 20):
        attachment = b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"A" * size + b"\r\n"
        mails.append(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + attachment + b"--b\r\n\r\nwords\r\n--b--\r\n")
    uids = [await append(account, mail) for mail in mails]
    inbox = await account.open("INBOX")
    assert await inbox.previews(uids, lazy=True) == {}
    assert await inbox.previews(uids) == dict.fromkeys(uids, b'"words"')
    assert await inbox.previews(uids, lazy=True) == dict.fromkeys(uids, b'"words"')
    inbox.release()
    await boxes.close()
