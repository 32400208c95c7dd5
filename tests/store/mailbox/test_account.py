"""The store through its door: what is done is still so after a restart, with the index and without."""

import asyncio
import os
import random
import subprocess
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.errors import MailboxExists, NameRefused, NoSuchMailbox, OverQuota, TooManyKeywords
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import (
    AccountFolder,
    Change,
    FlagsChanged,
    How,
    MessagesAdded,
    MessagesExpunged,
    NewMessage,
)


def place(tmp_path: Path, quota: int | None = None) -> AccountFolder:
    return AccountFolder(tmp_path / "account", tmp_path / "account" / "index.sqlite3", quota)


async def append(account: Account, text: bytes = b"Subject: x\r\n\r\nbody\r\n", name: str = "INBOX", **named: object) -> int:
    message = NewMessage(Content.of(text), **named)  # type: ignore[arg-type]
    return (await account.commit([await account.prepare(name, message)])).uids[0]


async def everything(account: Account) -> dict[str, object]:
    """All that a client can see, MODSEQs apart."""
    seen: dict[str, object] = {}
    for info in await account.listing():
        if not info.selectable:
            continue
        mailbox = await account.open(info.name)
        rows = [
            (uid, mailbox.flags[n] & 0x3F, sorted(mailbox.keyword_names(mailbox.flags[n])), mailbox.sizes[n], mailbox.dates[n])
            for n, uid in enumerate(mailbox.uids)
        ]
        bodies = await mailbox.read_many(list(mailbox.uids))
        seen[info.name] = (mailbox.uid_validity, mailbox.id, rows, [bodies[row[0]] for row in rows])
        mailbox.release()
    return seen


async def test_a_new_account_has_its_special_mailboxes(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    uses = {info.name: info.special_use.value for info in await account.listing() if info.special_use}
    assert uses == {"Sent": "\\Sent", "Drafts": "\\Drafts", "Junk": "\\Junk", "Trash": "\\Trash", "Archive": "\\Archive"}
    await boxes.close()


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_life_survives_restarts_and_the_loss_of_the_index(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    used: set[tuple[str, int]] = set()
    modseqs: dict[str, int] = {}
    for step in range(60):
        names = [info.name for info in await account.listing() if info.selectable]
        name = chance.choice(names)
        mailbox = await account.open(name)
        some = sorted(chance.sample(list(mailbox.uids), min(len(mailbox.uids), chance.randrange(1, 5))))
        before = len(mailbox.uids)
        match chance.randrange(7):
            case 0 | 1:
                uid = await append(account, f"Subject: {step}\r\n\r\n".encode(), name, flags=Flags(chance.randrange(32)))
                assert (mailbox.id, uid) not in used
                used.add((mailbox.id, uid))
            case 2:
                await mailbox.store(some, chance.choice(list(How)), Flags(chance.randrange(32)), frozenset({"$A", "kw"}))
            case 3:
                target = await account.open(chance.choice(names))
                copied = await mailbox.copy(some, target.name)
                used.update((target.id, uid) for uid in copied.uids)
                target.release()
            case 4:
                target = await account.open(chance.choice(names))
                moved = await mailbox.move(some, target.name)
                assert len(moved.uids) == len(some)
                used.update((target.id, uid) for uid in moved.uids)
                target.release()
            case 5:
                gone = await mailbox.expunge(some, force=True)
                assert len(mailbox.uids) == before - len(gone)
            case 6:
                await account.create(f"box{step}/sub")
        assert mailbox.highest_modseq >= modseqs.get(mailbox.id, 0)
        modseqs[mailbox.id] = mailbox.highest_modseq
        mailbox.release()
        if step % 20 == 19:
            seen = await everything(account)
            await boxes.close()
            if step % 40 == 39:
                (tmp_path / "account" / "index.sqlite3").unlink()
            boxes = Mailboxes("mail.a.test")
            account = await boxes.account(place(tmp_path))
            assert await everything(account) == seen
    await boxes.close()


async def test_the_index_may_be_lost_and_no_number_comes_again(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    uid = await append(account)
    mailbox = await account.open("INBOX")
    await mailbox.expunge([uid], force=True)
    modseq = mailbox.highest_modseq
    mailbox.release()
    await boxes.close()
    (tmp_path / "account" / "index.sqlite3").unlink()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    assert await append(account) > uid
    mailbox = await account.open("INBOX")
    assert mailbox.highest_modseq > modseq
    mailbox.release()
    await boxes.close()


async def test_sessions_hear_of_changes(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    mailbox = await account.open("INBOX")
    heard: list[Change] = []
    stop = mailbox.listen(heard.append)
    uid = await append(account, fresh=True)
    await mailbox.store([uid], How.ADD, Flags.SEEN)
    await mailbox.expunge([uid], force=True)
    assert [type(change) for change in heard] == [MessagesAdded, FlagsChanged, MessagesExpunged]
    stop()
    mailbox.release()
    await boxes.close()


async def test_a_delivery_that_is_repeated_makes_no_second_copy(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    first = await append(account, unique="abc.0", fresh=True, once=True)
    assert await append(account, unique="abc.0", fresh=True, once=True) == first
    mailbox = await account.open("INBOX")
    assert len(mailbox.uids) == 1
    await mailbox.move([first], "Trash")
    assert await append(account, unique="abc.0", fresh=True, once=True) == first
    assert len(mailbox.uids) == 0
    mailbox.release()
    await boxes.close()


async def test_quota_names_and_keywords_have_limits(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path, quota=100))
    await append(account)
    with pytest.raises(OverQuota):
        await append(account, b"x" * 200)
    await append(account, b"x" * 200, fresh=True)
    for name in ("a//b", "../x", "a\x07b", "x" * 300, "."):
        with pytest.raises(NameRefused):
            await account.create(name)
    with pytest.raises(MailboxExists):
        await account.create("inbox")
    with pytest.raises(NoSuchMailbox):
        await account.open("nowhere")
    mailbox = await account.open("INBOX")
    await mailbox.store(mailbox.uids, How.ADD, Flags(0), frozenset(f"k{n}" for n in range(26)))
    with pytest.raises(TooManyKeywords):
        await mailbox.store(mailbox.uids, How.ADD, Flags(0), frozenset({"one-more"}))
    await mailbox.store(mailbox.uids, How.REMOVE, Flags(0), frozenset({"k3"}))
    await mailbox.store(mailbox.uids, How.ADD, Flags(0), frozenset({"one-more"}))
    mailbox.release()
    await boxes.close()


async def test_a_cancelled_append_is_finished(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    prepared = await account.prepare("INBOX", NewMessage(Content.of(b"x")))
    task = asyncio.ensure_future(account.commit([prepared]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await append(account)
    mailbox = await account.open("INBOX")
    assert len(mailbox.uids) == 2
    mailbox.release()
    await boxes.close()


async def test_other_programs_may_work_in_the_maildir(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    root = tmp_path / "account" / "Maildir"
    kept = await append(account)
    lost = await append(account)
    mailbox = await account.open("INBOX")
    await mailbox.store([kept], How.ADD, Flags.SEEN)
    await boxes.close()
    names = {path.name: path for path in (root / "cur").iterdir()}
    old = next(path for name, path in names.items() if f".{kept}:" in name)
    old.rename(str(old) + "F")
    next(path for name, path in names.items() if f".{lost}:" in name).unlink()
    (root / "new" / "1700000000.stranger.host").write_bytes(b"Subject: foreign\n\nline\n")
    subprocess.run(["mkdir", "-p", str(root / ".Made.By.Others" / "cur"), str(root / ".Made.By.Others" / "new")], check=True)
    os.symlink("/etc/passwd", root / "cur" / "link:2,")
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    assert "Made/By/Others" in [info.name for info in await account.listing()]
    mailbox = await account.open("INBOX")
    assert mailbox.position(lost) is None
    where = mailbox.position(kept)
    assert where is not None
    assert mailbox.flags[where] == Flags.SEEN | Flags.FLAGGED
    assert len(mailbox.uids) == 2
    foreign = mailbox.uids[-1]
    assert foreign > lost
    assert await mailbox.read(foreign) == b"Subject: foreign\r\n\r\nline\r\n"
    assert mailbox.sizes[1] == len(b"Subject: foreign\r\n\r\nline\r\n")
    mailbox.release()
    await boxes.close()


async def test_accounts_of_a_new_domain_open_at_the_same_moment(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    for round_number in range(6):
        domain = tmp_path / str(round_number)
        folders = [AccountFolder(domain / str(n), domain / str(n) / "index.sqlite3", None) for n in range(8)]
        opened = await asyncio.gather(*(boxes.account(folder) for folder in folders))
        assert {len(await account.listing()) for account in opened} == {6}
    await boxes.close()


async def test_accounts_are_closed_together_and_one_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that waited for the disk once an account would take longer than service managers wait."""
    boxes = Mailboxes("mail.a.test")
    folders = [AccountFolder(tmp_path / name, tmp_path / name / "index.sqlite3", None) for name in ("one", "two")]
    accounts = [await boxes.account(folder) for folder in folders]
    closing, closed = [], []
    close = Account.close

    async def watched(account: Account) -> None:
        closing.append(account)
        async with asyncio.timeout(20):
            while len(closing) < len(accounts):
                await asyncio.sleep(0)
        if account is accounts[0]:
            raise OSError("this one fails")
        await close(account)
        closed.append(account)

    monkeypatch.setattr(Account, "close", watched)
    with pytest.raises(OSError, match="this one fails"):
        await boxes.close()
    assert closed == accounts[1:]
    monkeypatch.undo()
    boxes = Mailboxes("mail.a.test")
    assert await append(await boxes.account(folders[0])) > 0
    await boxes.close()


async def test_the_number_of_messages_has_a_quota_too(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(AccountFolder(tmp_path / "account", tmp_path / "account" / "index.sqlite3", None, 2))
    await append(account)
    await append(account, name="Archive")
    with pytest.raises(OverQuota):
        await append(account)
    inbox = await account.open("INBOX")
    with pytest.raises(OverQuota):
        await inbox.copy(inbox.uids, "Archive")
    await inbox.replace(inbox.uids[0], "INBOX", NewMessage(Content.of(b"Subject: another\r\n\r\n")))
    await inbox.move(inbox.uids, "Archive")
    # What was accepted is delivered.
    assert await append(account, fresh=True) == 3
    assert (await account.usage()).messages == 3
    inbox.release()
    await boxes.close()


async def test_what_gets_smaller_is_let_in_over_quota(tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path, quota=100))
    await append(account, b"Subject: x\r\n\r\n" + b"x" * 200, fresh=True)
    inbox = await account.open("INBOX")
    with pytest.raises(OverQuota):
        await inbox.replace(1, "INBOX", NewMessage(Content.of(b"Subject: x\r\n\r\n" + b"x" * 201)))
    await inbox.replace(1, "INBOX", NewMessage(Content.of(b"Subject: x\r\n\r\n" + b"x" * 190)))
    inbox.release()
    await boxes.close()
