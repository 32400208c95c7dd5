"""The index lost or damaged: same UIDs, flags, keywords, dates, subscriptions, special use; no number comes again."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.errors import DataTooNew, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder, How, NewMessage
from tests.store.mailbox.test_account import append, everything, place

NO_FLAGS = Flags(0)
Damage = Callable[[Path, random.Random], None]


async def life(folder: AccountFolder) -> tuple[dict[str, object], int]:
    """An account with a bit of everything, stopped. What it shows, and the highest MODSEQ of INBOX."""
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    inbox = await account.open("INBOX")
    await account.commit(
        [
            await account.prepare("INBOX", NewMessage(Content.of(b"Subject: %d\r\n\r\n" % number), internal_date=1e9 + number))
            for number in range(300)
        ]
    )
    await inbox.store(inbox.uids[::3], How.ADD, Flags.SEEN, frozenset({"$A", "b"}))
    await inbox.store(inbox.uids[::5], How.ADD, Flags.FLAGGED, frozenset({"c"}))
    await inbox.expunge(inbox.uids[290:], force=True)
    await inbox.copy(inbox.uids[:50], "Archive")
    await inbox.move(inbox.uids[100:120], "Trash")
    await inbox.envelopes(inbox.uids)
    await account.create("Some/deep/box")
    await account.subscribe("Some/deep/box")
    await append(account, name="Some/deep/box", keywords=frozenset({"x"}))
    modseq = inbox.highest_modseq
    seen = await shown(account)
    inbox.release()
    await boxes.close()
    return seen, modseq


async def shown(account: Account) -> dict[str, object]:
    seen = await everything(account)
    seen["*uses"] = {info.name: info.special_use for info in await account.listing()}
    seen["*subscriptions"] = account.subscriptions()
    return seen


async def all_is_there(folder: AccountFolder, seen: dict[str, object], modseq: int) -> None:
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert await shown(account) == seen
    inbox = await account.open("INBOX")
    assert inbox.highest_modseq >= modseq
    uid = await append(account)
    assert uid > 300
    assert inbox.modseqs[-1] > modseq
    assert len(await inbox.envelopes(inbox.uids)) == len(inbox.uids)
    await inbox.expunge([uid], force=True)
    inbox.release()
    await boxes.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert await shown(account) == seen
    await boxes.close()


def everything_gone(path: Path, _: random.Random) -> None:
    path.unlink()


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def text(path: Path, _: random.Random) -> None:
    path.write_bytes(b"this is no database\n" * 500)


def truncated(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(1, path.stat().st_size))


def garbage(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 4)):
        page = chance.randrange(len(data) // 4096) * 4096
        data[page : page + 4096] = chance.randbytes(4096)
    path.write_bytes(data)


def bits(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(20):
        data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def wrong_pages(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    count = len(data) // 4096
    for _ in range(2):
        one, other = chance.randrange(1, count) * 4096, chance.randrange(1, count) * 4096
        data[one : one + 4096], data[other : other + 4096] = data[other : other + 4096], data[one : one + 4096]
    path.write_bytes(data)


def zeroes(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data))
    data[start : start + 8192] = bytes(len(data[start : start + 8192]))
    path.write_bytes(data)


def another_schema(path: Path, _: random.Random) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE other (x); PRAGMA user_version=1;")
    connection.close()


def odd_beside(path: Path, chance: random.Random) -> None:
    path.with_name(path.name + "-wal").write_bytes(chance.randbytes(50_000))
    path.with_name(path.name + "-shm").write_bytes(chance.randbytes(32768))


ONCE: tuple[Damage, ...] = (everything_gone, empty, text, another_schema, odd_beside)
OFTEN: tuple[Damage, ...] = (truncated, garbage, bits, wrong_pages, zeroes)


async def test_damage_of_all_kinds(tmp_path: Path) -> None:
    original = place(tmp_path)
    seen, modseq = await life(original)
    tries = [(damage, 0) for damage in ONCE] + [(damage, seed) for damage in OFTEN for seed in range(4)]
    for damage, seed in tries:
        name = f"{damage.__name__}-{seed}"
        shutil.copytree(original.path, tmp_path / name)
        folder = AccountFolder(tmp_path / name, tmp_path / name / "index.sqlite3")
        damage(folder.index, random.Random(seed))
        try:
            await all_is_there(folder, seen, modseq)
        except (StoreProblem, AssertionError) as problem:
            raise AssertionError(name) from problem


async def test_damage_while_it_runs(tmp_path: Path) -> None:
    folder = place(tmp_path)
    seen, modseq = await life(folder)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    inbox = await account.open("INBOX")
    account.index.rest()
    text(folder.index, random.Random(1))
    for _ in range(3):
        try:
            await inbox.store(inbox.uids[:1], How.ADD, Flags.DELETED)
            await inbox.store(inbox.uids[:1], How.REMOVE, Flags.DELETED)
            break
        except StoreProblem:
            continue
    assert await shown(account) == seen
    assert (await account.usage()).messages == sum(len(one[2]) for one in seen.values() if isinstance(one, tuple))
    inbox.release()
    await boxes.close()
    assert folder.index.with_name("index.sqlite3.broken").exists()
    await all_is_there(folder, seen, modseq)


async def test_an_index_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    folder = place(tmp_path)
    seen, modseq = await life(folder)
    with sqlite3.connect(folder.index) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    boxes = Mailboxes("mail.a.test")
    with pytest.raises(DataTooNew) as refused:
        await boxes.account(folder)
    assert str(folder.index) in refused.value.detail
    await boxes.close()
    folder.index.unlink()
    await all_is_there(folder, seen, modseq)


async def test_the_index_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = place(tmp_path)
    seen, modseq = await life(folder)
    moved = AccountFolder(folder.path, tmp_path / "elsewhere" / "a.test" / "alice" / "index.sqlite3")
    await all_is_there(moved, seen, modseq)
    assert moved.index.exists()


async def test_a_kept_answer_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    folder = place(tmp_path)
    await life(folder)
    with sqlite3.connect(folder.index) as connection:
        assert connection.execute("UPDATE cache SET items=x'00112233445566778899'").rowcount
    connection.close()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    inbox = await account.open("INBOX")
    envelopes = await inbox.envelopes(inbox.uids)
    assert len(envelopes) == len(inbox.uids)
    assert b'"0"' in envelopes[1]
    inbox.release()
    await boxes.close()


async def test_an_older_index_that_is_put_back_gives_no_uid_again(tmp_path: Path) -> None:
    folder = place(tmp_path)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    for _ in range(3):
        await append(account)
    await boxes.close()
    old = folder.index.read_bytes()
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    given = [await append(account) for _ in range(5)]
    await boxes.close()
    folder.index.write_bytes(old)
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(folder)
    assert await append(account) > max(given)
    mailbox = await account.open("INBOX")
    assert list(mailbox.uids)[:8] == [1, 2, 3, *given]
    mailbox.release()
    await boxes.close()
