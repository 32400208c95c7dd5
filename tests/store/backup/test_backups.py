"""Backups without a server: what is in them, what is found in them, and each step at which one may be cut short."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mailstack.app.data import Data
from mailstack.config import Config
from mailstack.control.arguments import OperationProblem
from mailstack.control.backups import BackupOperations
from mailstack.control.queue import QueueOperations
from mailstack.message.address import parse_address
from mailstack.message.envelope import Envelope, Recipient
from mailstack.message.flag import Flags
from mailstack.store.backup import layout, manifest
from mailstack.store.backup.backups import Outcome
from mailstack.store.backup.bringing import bring_back
from mailstack.store.backup.helper import Work
from mailstack.store.backup.proving import Prover
from mailstack.store.backup.restoring import BEYOND, Restoring
from mailstack.store.backup.taking import Taking
from mailstack.store.content import Content
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.across import copy_across
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder, How
from tests.store.mailbox.test_account import append, everything
from tests.support.faults import Stopped, StoppingDisk

ALICE = parse_address("alice@a.test")


class Here:
    """The helper's work in a thread of the test's: no process has to be started."""

    def __init__(self) -> None:
        self._work = Work()

    async def start(self) -> None:
        pass

    async def ask(self, do: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(self._work, do), **arguments)

    async def close(self) -> None:
        self._work.close()


@pytest.fixture
async def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Data]:
    monkeypatch.setattr("mailstack.store.backup.backups.BackupProcess", Here)
    one = Data(Config(hostname="mail.a.test", data_dir=str(tmp_path / "data")))
    await one.open()
    await one.directory.add_domain("a.test")
    await one.directory.add_accounts([(ALICE, "{PLAIN}x", None)], 0.0)
    account = await alice(one)
    for number in range(5):
        await append(account, f"Subject: {number}\r\n\r\n".encode(), flags=Flags.SEEN, keywords=frozenset({"$Later"}))
    await account.create("Work/été")
    await append(account, b"Subject: w\r\n\r\n", "Work/été")
    envelope = Envelope("0mwwhqy3cs84twj1", None, (Recipient(ALICE),), received=0.0)
    await one.queue.commit(await one.queue.prepare(envelope, b"", Content.of(b"Subject: q\r\n\r\n")))
    yield one
    await one.close()


async def alice(data: Data) -> Account:
    record = await data.directory.account("alice@a.test")
    assert record is not None
    return await data.mailboxes.account(data.directory.folder(record))


async def backed_up(data: Data, folder: Path, **named: int) -> Outcome:
    return await data.backups.run(folder, named.get("keep", 7), named.get("sample", 0))


async def opened(path: Path) -> dict[str, object]:
    """All that a client sees of an account in a folder."""
    boxes = Mailboxes("mail.a.test")
    seen = await everything(await boxes.account(AccountFolder(path, path / "index.sqlite3")))
    await boxes.close()
    return seen


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


async def test_it_is_whole_and_the_next_one_copies_only_what_is_new(data: Data, tmp_path: Path) -> None:
    account = await alice(data)
    first = await backed_up(data, tmp_path / "b")
    assert (first.problems, first.messages, first.compared, first.accounts) == ([], 6, 6, 1)
    assert first.new_octets == first.octets, "nothing was there before"
    assert not inodes(tmp_path / "b") & inodes(data.path), "damage to live mail would reach the backup"
    mailbox = await account.open("INBOX")
    await mailbox.store([1], How.ADD, Flags.FLAGGED)
    await mailbox.move([2], "Archive")
    mailbox.release()
    await append(account, b"Subject: new\r\n\r\nnew\r\n")
    second = await backed_up(data, tmp_path / "b", sample=2)
    assert (second.problems, second.messages, second.compared) == ([], 7, 2)
    assert 0 < second.new_octets < second.octets
    mails = [path for path in (tmp_path / "b" / second.name).rglob("cur/*") if path.is_file()]
    assert len([path for path in mails if path.stat().st_nlink == 1]) == 1
    seen = await everything(account)
    made, aside = await asyncio.to_thread(
        lambda: Restoring(tmp_path / "b" / second.name, tmp_path / "r", Disk()).run(force=False)
    )
    assert (made.messages, aside) == (7, None)
    assert await opened(tmp_path / "r/mail/a.test/alice") == seen
    assert [path.name for path in (tmp_path / "r/queue").iterdir()] == ["0mwwhqy3cs84twj1"]
    assert data.backups.state().proven == second


async def test_what_is_not_as_it_was_written_is_found_and_told(data: Data, tmp_path: Path) -> None:
    told: list[Outcome] = []

    async def alarm(outcome: Outcome) -> None:
        told.append(outcome)

    data.backups.on_alarm = alarm
    first = await backed_up(data, tmp_path / "b")
    victim = next(path for path in (tmp_path / "b" / first.name).rglob("cur/*"))
    text = victim.read_bytes()
    victim.write_bytes(bytes([text[0] ^ 1]) + text[1:])
    await asyncio.to_thread(_same_times, victim, data.path, text)
    second = await backed_up(data, tmp_path / "b")
    assert len(second.problems) == 2, "the file, and the message as it is read"
    assert victim.name in second.problems[0]
    assert told == [second]
    assert data.backups.state().proven == first
    with pytest.raises(StoreFailed, match="damaged"):
        Restoring(tmp_path / "b" / second.name, tmp_path / "r", Disk()).run(force=False)
    assert not list((tmp_path / "r").glob("*.sqlite3"))
    assert (await backed_up(data, tmp_path / "b")).problems == []


def _same_times(victim: Path, data: Path, text: bytes) -> None:
    """The damage does not show in the file's size or time."""
    live = next(path for path in data.rglob(victim.name))
    assert live.read_bytes() == text
    os.utime(victim, ns=(live.stat().st_atime_ns, live.stat().st_mtime_ns))


async def test_damage_anywhere_is_found(data: Data, tmp_path: Path) -> None:
    first = await backed_up(data, tmp_path / "b")
    backup = tmp_path / "b" / first.name
    for what in ("manifest/mail/a.test/alice.jsonl", "data/mailstack.sqlite3", "data/queue/*"):
        victim = next(backup.glob(what))
        text = victim.read_bytes()
        place = len(text) // 2
        victim.write_bytes(text[:place] + bytes([text[place] ^ 0x40]) + text[place + 1 :])
        assert (await Prover(backup, tmp_path / "s", 0, random.Random(1)).prove()).problems, what
        victim.write_bytes(text)
    assert not (await Prover(backup, tmp_path / "s", 0, random.Random(1)).prove()).problems


async def test_an_account_comes_back_in_place_or_beside(data: Data, tmp_path: Path) -> None:
    account = await alice(data)
    first = await backed_up(data, tmp_path / "b")
    backup = tmp_path / "b" / first.name
    beside = await bring_back(account, backup, "alice@a.test", tmp_path)
    assert beside.mailboxes == {f"Restored/{first.name}/INBOX": 5, f"Restored/{first.name}/Work/été": 1}
    assert (await bring_back(account, backup, "alice@a.test", tmp_path)).there == 6
    await data.directory.add_accounts([(parse_address("empty@a.test"), "{PLAIN}x", None)], 0.0)
    record = await data.directory.account("empty@a.test")
    assert record is not None
    empty = await data.mailboxes.account(data.directory.folder(record))
    with pytest.raises(StoreFailed, match="no account"):
        await bring_back(empty, backup, "empty@a.test", tmp_path)
    await bring_back(empty, backup, "alice@a.test", tmp_path)
    mailbox = await empty.open("INBOX")
    assert len(mailbox.uids) == 5
    assert mailbox.keyword_names(mailbox.flags[0]) == ["$Later"]
    mailbox.release()


async def test_uids_of_mail_that_came_after_the_backup_are_not_given_again(data: Data, tmp_path: Path) -> None:
    first = await backed_up(data, tmp_path / "b")
    last = await append(await alice(data))
    data.lock.release()
    _, aside = Restoring(tmp_path / "b" / first.name, data.path, Disk()).run(force=True)
    assert aside is not None
    assert (aside / "mailstack.sqlite3").is_file()
    path = data.path / "mail/a.test/alice"
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(AccountFolder(path, path / "index.sqlite3"))
    assert last < await append(account) < BEYOND
    await boxes.close()
    Restoring(tmp_path / "b" / first.name, tmp_path / "r", Disk()).run(force=False)
    path = tmp_path / "r/mail/a.test/alice"
    account = await (boxes := Mailboxes("mail.a.test")).account(AccountFolder(path, path / "index.sqlite3"))
    assert await append(account) > BEYOND
    await boxes.close()


async def test_a_message_that_is_moved_while_it_is_copied_is_in_it(data: Data, tmp_path: Path) -> None:
    account = await alice(data)
    taking = Taking(tmp_path / "b", data.path, Disk())
    await asyncio.to_thread(taking.begin, 0.0)
    taking.users()
    taking.queue()
    async with account.frozen() as mailboxes:
        await asyncio.to_thread(taking.list_account, "a.test/alice", "alice@a.test", mailboxes)
    mailbox = await account.open("INBOX")
    await mailbox.move([1, 2], "Archive")
    await mailbox.expunge([3], force=True, keep=False)
    await mailbox.expunge([4], force=True)
    await account.rename("Work/été", "Work/hiver")
    await account.settled()
    assert taking.copy_account() == 1
    taking.rest("")
    made = taking.finish("mail.a.test")
    _, files = manifest.read_unit(tmp_path / "b" / made.name, "mail/a.test/alice")
    assert len([file for file in files if "/cur/" in file.path and file.sha256]) == 5
    mailbox.release()


async def test_a_restored_queue_is_held_until_it_is_let_go(data: Data, tmp_path: Path) -> None:
    """It may have left since. What was held before stays held."""
    for id, held in (("0mwwhqy3cs84twj2", True), ("0mwwhqy3cs84twj3", False)):
        envelope = Envelope(id, None, (Recipient(ALICE),), received=0.0)
        await data.queue.commit(await data.queue.prepare(envelope, b"", Content.of(b"Subject: q\r\n\r\n")))
        queued = data.queue.messages[id]
        queued.held, queued.attempts = held, 2
        await data.queue.save(queued)
    made = await backed_up(data, tmp_path / "b")
    for hold, place in ((True, tmp_path / "held"), (False, tmp_path / "sent")):
        restoring = Restoring(tmp_path / "b" / made.name, place, Disk())
        await asyncio.to_thread(lambda: restoring.run(force=False, hold=hold))  # noqa: B023 - awaited here
        assert restoring.held == (2 if hold else 0)
        again = Data(Config(hostname="mail.a.test", data_dir=str(place)))
        await again.open()
        queue = again.queue.messages
        assert [(queue[id].held, queue[id].attempts) for id in sorted(queue)] == [(hold, 0), (True, 2), (hold, 2)]
        operations = QueueOperations(again.queue, again.trace, None).table()
        assert await operations["queue.release"]({"restored": True}) == {"released": restoring.held}
        assert [id for id in sorted(queue) if queue[id].held] == ["0mwwhqy3cs84twj2"]
        assert await operations["queue.drop"]({"restored": True}) == {"dropped": 0}
        await again.close()


@pytest.mark.parametrize(("question", "times"), [("copy_account", 1), ("list_account", 2)], ids=["before", "while"])
async def test_what_goes_over_to_an_account_that_was_copied_is_in_it(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str, times: int
) -> None:
    """Before, or while, the account is copied that it leaves; nothing that is deleted is kept."""
    await data.directory.add_accounts([(parse_address("bob@a.test"), "{PLAIN}x", None)], 0.0)
    record = await data.directory.account("bob@a.test")
    assert record is not None
    mine, bob = await alice(data), await data.mailboxes.account(data.directory.folder(record))
    await append(bob, b"Subject: over\r\n\r\n")
    asked: list[str] = []
    moves: list[asyncio.Task[None]] = []

    class Meanwhile(Here):
        async def ask(self, do: str, **arguments: Any) -> Any:
            if do == "copy_account":
                await asyncio.gather(*moves)
            found = await super().ask(do, **arguments)
            asked.append(do)
            if do == question and asked.count(do) == times:
                moves.append(asyncio.create_task(go_over(bob, mine, tmp_path)))
                if do == "copy_account":
                    await moves[0]
            return found

    monkeypatch.setattr("mailstack.store.backup.backups.BackupProcess", Meanwhile)
    made = await backed_up(data, tmp_path / "b")
    assert made.problems == []
    _, files = manifest.read_unit(tmp_path / "b" / made.name, "mail/a.test/alice")
    assert sum(",S=17," in file.path and "/cur/" in file.path for file in files) == 1
    there = {str(path.relative_to(tmp_path / "b" / made.name / "data")) for path in _mails(tmp_path / "b" / made.name)}
    assert there == {file.path for unit in ("alice", "bob") for file in _messages(tmp_path / "b" / made.name, unit)}
    assert (await backed_up(data, tmp_path / "b")).problems == []


def _mails(backup: Path) -> list[Path]:
    return [path for part in ("cur", "new") for path in backup.rglob(f"{part}/*")]


def _messages(backup: Path, name: str) -> list[manifest.File]:
    files = manifest.read_unit(backup, f"mail/a.test/{name}")[1]
    return [file for file in files if file.sha256 and ("/cur/" in file.path or "/new/" in file.path)]


async def go_over(source: Account, target: Account, spool: Path) -> None:
    """As MOVE does between accounts."""
    mailbox = await source.open("INBOX")
    copied = await copy_across(mailbox, list(mailbox.uids), target, "INBOX", -1, spool)
    await mailbox.expunge(copied.sources, force=True, keep=False)
    await source.settled()
    mailbox.release()


@pytest.mark.parametrize("stride", [23, pytest.param(1, marks=pytest.mark.crash)])
async def test_cut_short_after_each_step(data: Data, tmp_path: Path, stride: int) -> None:
    """There is a backup whole or not at all, and the next run goes on with what is there."""
    account = await alice(data)
    async with account.frozen() as mailboxes:
        for steps in range(0, 1000, stride):
            folder = tmp_path / "backups"
            disk = StoppingDisk(steps)
            if _taken(disk, folder, data.path, mailboxes):
                assert steps > 60
                break
            for name in layout.backups(folder):
                assert disk.done[-1] == "rename", disk.done[-3:]  # only its name was not flushed yet
                shutil.rmtree(folder / name)
        assert len(layout.backups(folder)) == 1
    assert not (folder / layout.PARTIAL).exists()
    assert not (folder / layout.CUT_SHORT).exists()


def _taken(disk: Disk, folder: Path, data: Path, mailboxes: Any) -> bool:
    taking = Taking(folder, data, disk)
    try:
        taking.begin(0.0)
        taking.users()
        taking.queue()
        taking.list_account("a.test/alice", "alice@a.test", mailboxes)
        taking.copy_account()
        taking.rest("")
        taking.finish("mail.a.test")
    except Stopped:
        return False
    finally:
        taking.close()
    return True


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["2026-11-26T010000Z", "2026-11-26T020000Z"], 2),
        ([f"2026-11-{day:02}T010000Z" for day in range(1, 27)], 5),
        ([f"2026-{month:02}-01T010000Z" for month in range(1, 12)], 3),
        ([], 0),
    ],
)
def test_the_newest_of_days_and_of_weeks_are_kept(names: list[str], kept: int) -> None:
    left = set(names) - set(layout.to_prune(names, 3))
    assert len(left) == kept
    assert not names or max(names) in left


async def test_it_has_no_place_in_the_data_and_is_made_once_at_a_time(data: Data, tmp_path: Path) -> None:
    for place in (data.path, data.path / "b", tmp_path):
        with pytest.raises(StoreFailed, match="outside"):
            await backed_up(data, place)
    other = Taking(tmp_path / "b", data.path, Disk())
    other.begin(0.0)
    assert "another" in (await backed_up(data, tmp_path / "b")).problems[0]
    other.close()


async def test_who_begins_one_and_does_not_wait_is_told_the_truth(data: Data, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    table = BackupOperations(data.backups, data.directory, data.mailboxes, data.jobs, tmp_path, folder).table()

    async def end(job: int) -> Any:
        while not (state := await data.jobs.status({"job": job, "wait": 1}))["ended"]:
            pass
        return state["answer"]

    assert await table["backup.last"]({}) == {"last": None, "proven": None, "running": None, "folder": str(folder)}
    assert await table["backup.list"]({}) == []
    begun = await table["backup.begin"]({})
    steps = set()
    while (state := await table["backup.last"]({}))["running"] is not None or state["last"] is None:
        steps.add(((state["running"] or {}).get("progress") or {}).get("step"))
        if data.backups.running is not None:  # as it is now: the state was that of a moment ago
            with pytest.raises(OperationProblem, match="already"):
                await table["backup.begin"]({})
    assert steps <= {None, "", "copy", "prove"}
    assert (await end(begun["job"]))["ok"]["problems"] == []
    assert state["last"] == state["proven"]
    (row,) = await table["backup.list"]({})
    assert (row["name"], row["messages"], row["accounts"], row["problem"]) == (state["last"]["name"], 6, 1, None)
    brought = await end((await table["backup.bring.begin"]({"account": "alice@a.test"}))["job"])
    assert (brought["ok"]["backup"], brought["ok"]["messages"]) == (row["name"], 6)
    (folder / row["name"] / layout.MANIFEST).write_text("{")
    assert "manifest.json" in (await table["backup.list"]({}))[0]["problem"]
    inside = await end((await table["backup.begin"]({"dir": str(data.path / "x")}))["job"])
    assert "outside" in inside["error"]
    assert data.backups.running is None


LEADS_OUT = [
    *("mail/../../evil", "/etc/cron.d/evil", "../evil", "../../evil", "a//b", "..", "a/..", "a/./b"),
    *("../config/../../evil", "a\0b"),
]


@pytest.mark.parametrize("path", LEADS_OUT)
def test_a_backup_that_leads_elsewhere_is_none(tmp_path: Path, path: str) -> None:
    lines = [manifest.encode_line(manifest.Unit("system")), manifest.encode_line(manifest.File(path, 1, "0" * 64))]
    units = tmp_path / layout.UNITS
    units.mkdir()
    (units / "system.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(StoreFailed, match="leads out"):
        manifest.read_unit(tmp_path, "system")
    assert not list(manifest.read_cut_short(tmp_path, "system"))
    summary = manifest.Summary(path, "", 1, 1, 0, "0" * 64)
    made = manifest.Manifest(1, "x", 0.0, 0.0, "x", "x", [summary], 0)
    (tmp_path / layout.MANIFEST).write_bytes(manifest.encode(made))
    with pytest.raises(StoreFailed, match="leads out"):
        manifest.read(tmp_path)
