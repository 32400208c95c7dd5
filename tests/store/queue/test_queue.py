"""The queue: what is acknowledged is there after a stop at any step, and nothing that is damaged stands in the way."""

import asyncio
import errno
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from mailstack.message.address import Address
from mailstack.message.envelope import Body, Envelope, Notify, Recipient, Return, new_id
from mailstack.store.content import Content
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.errors import NoSpace, StoreFailed
from mailstack.store.queue.queue import Queue, Queued
from tests.support.faults import FailingDisk, Stopped, StoppingDisk
from tests.support.relay import FakeClock

BODY = b"Subject: x\r\n\r\n" + b"line\r\n" * 100
BOB = Recipient(Address("bob", "b.test"), Notify.FAILURE | Notify.DELAY, "rfc822;x y@b.test")
RANDOM = random.Random(5)


def envelope(*more: Recipient) -> Envelope:
    return Envelope(
        new_id(FakeClock()(), RANDOM), Address("al \u00e9", "a.test"), (BOB, *more), 1_700_000_000.25,
        Return.HEADERS, "env", True, Body.SEVENBIT, "alice@a.test",
    )  # fmt: skip


@asynccontextmanager
async def opened(folder: Path, disk: Disk | None = None) -> AsyncIterator[Queue]:
    folder.mkdir(exist_ok=True)
    database = Database(folder / "db.sqlite3")
    database.start()
    queue = Queue(folder / "queue", database, disk)
    await queue.start()
    try:
        yield queue
    finally:
        await queue._namings.settled()
        if queue._finisher is not None:
            await asyncio.wait((queue._finisher,))
        queue._executor.shutdown()
        database.close()


async def put(queue: Queue, body: bytes = BODY, *more: Recipient) -> Queued:
    one = envelope(*more)
    await queue.commit(await queue.prepare(one, b"Prefix: y\r\n", Content.of(body)))
    return queue.messages[one.id]


async def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as queue:
        queued = await put(queue, BODY, Recipient(Address("carol", "c.test")))
        queued.states[1].done, queued.states[1].reply, queued.states[0].delay_told = True, "250 ok", True
        queued.attempts, queued.next_attempt, queued.held = 4, 99.5, True
        await queue.save(queued)
    async with opened(tmp_path) as queue:
        (found,) = queue.messages.values()
        assert found.envelope == queued.envelope
        assert found.states == queued.states
        assert (found.attempts, found.next_attempt, found.held) == (4, 99.5, True)
        assert await queue.read(found) == b"Prefix: y\r\n" + BODY
        assert await queue.read_header(found, 5) == b"Prefi"
        assert found.size == len(BODY) + 11


async def test_a_large_message_goes_from_file_to_file(tmp_path: Path) -> None:
    content = Content(tmp_path, memory_limit=1000)
    for _ in range(100):
        content.write(b"x" * 98 + b"\r\n")
    async with opened(tmp_path) as queue:
        one = envelope()
        await queue.commit(await queue.prepare(one, b"P: q\r\n", content))
        assert await queue.read(queue.messages[one.id]) == b"P: q\r\n" + (b"x" * 98 + b"\r\n") * 100


@pytest.mark.parametrize("operation", ["commit", "commit two", "finish"])
async def test_stopped_after_each_step(tmp_path: Path, operation: str) -> None:
    for steps in range(60):
        folder = tmp_path / str(steps)
        async with opened(folder) as queue:
            before = (await put(queue)).id
        disk = StoppingDisk(10_000)
        answered = False
        async with opened(folder, disk) as queue:
            disk.left = steps
            try:
                if operation == "finish":
                    await queue.finish(queue.messages[before])
                    answered = disk.left > 0
                else:
                    ones = [envelope() for _ in range(2 if operation == "commit two" else 1)]
                    await queue.commit(*[await queue.prepare(one, b"", Content.of(BODY)) for one in ones])
                    answered = True
            except Stopped:
                pass
            except StoreFailed as problem:
                if problem.detail != "Stopped":
                    raise
            await queue._namings.settled()
            if queue._finisher is not None:
                await asyncio.wait((queue._finisher,))
                queue._finisher.exception()
        async with opened(folder) as queue:
            found = set(queue.messages)
            for queued in queue.messages.values():
                assert await queue.read(queued) == (b"Prefix: y\r\n" if queued.id == before else b"") + BODY
            assert not [path.name for path in queue.folder.iterdir() if path.name.startswith(".")]
            if operation == "finish":
                assert not answered or not found
            else:
                assert before in found
                assert not answered or found == {before, *(one.id for one in ones)}
        if answered:
            assert steps > 1
            return
    raise AssertionError("the operation has no end")


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder"])
@pytest.mark.parametrize(("error", "cause"), [(errno.ENOSPC, NoSpace), (errno.EIO, StoreFailed), (errno.EROFS, StoreFailed)])
async def test_a_full_or_broken_disk(tmp_path: Path, step: str, error: int, cause: type[Exception]) -> None:
    disk = FailingDisk((step,))
    async with opened(tmp_path, disk) as queue:
        disk.error = error
        for count in (1, 2):
            with pytest.raises(cause):
                await queue.commit(*[await queue.prepare(envelope(), b"", Content.of(BODY)) for _ in range(count)])
        assert not queue.messages
        disk.error = None
        kept = (await put(queue)).id
    async with opened(tmp_path) as queue:
        assert set(queue.messages) == {kept}


async def test_what_cannot_be_removed_is_not_owed_again(tmp_path: Path) -> None:
    disk = FailingDisk(("unlink",))
    async with opened(tmp_path, disk) as queue:
        queued = await put(queue)
        disk.error = errno.EIO
        await queue.finish(queued)
    async with opened(tmp_path) as queue:
        (found,) = queue.messages.values()
        assert found.pending() == []
        await queue.finish(found)
    async with opened(tmp_path) as queue:
        assert not queue.messages


async def test_complete_files_without_a_row_are_queued_and_incomplete_ones_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as queue:
        queued = await put(queue)
        queued.next_attempt = 5.0
        await queue.save(queued)
        prepared = await queue.prepare(envelope(), b"", Content.of(BODY))
        await queue._database.run(lambda connection: connection.execute(text("DELETE FROM queued")))
    assert (queue.folder / f".{prepared.envelope.id}").exists()
    async with opened(tmp_path) as queue:
        assert set(queue.messages) == {queued.id}
        assert queue.messages[queued.id].next_attempt == 0.0
        assert not (queue.folder / f".{prepared.envelope.id}").exists()


async def test_rows_without_a_file_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as queue:
        queued = await put(queue)
        await queue.save(queued)
    (tmp_path / "queue" / queued.id).unlink()
    async with opened(tmp_path) as queue:
        assert not queue.messages
        rows = await queue._database.run(lambda connection: connection.execute(text("SELECT id FROM queued")).all())
        assert rows == []


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"rubbish",
        b"mailstack-queue-1 99999\n{}",
        b"mailstack-queue-1 3\n{}}\n",
        b"mailstack-queue-1 2\n{}\n",
        b"mailstack-queue-1 2\n[]\n",
        b'mailstack-queue-1 12\n{"id":"other"\n',
        b'mailstack-queue-1 85\n{"id":"damaged","sender":["x"],"recipients":[],"received":1,"ret":null,"smtputf8":false}\n',
        "other name",
        "folder",
    ],
    ids=range(10),
)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: bytes | str, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path) as queue:
        queued = await put(queue)
    place = tmp_path / "queue" / "damaged"
    if damage == "folder":
        place.mkdir()
    else:
        place.write_bytes(damage if isinstance(damage, bytes) else (tmp_path / "queue" / queued.id).read_bytes())
    for _ in range(2):
        async with opened(tmp_path) as queue:
            assert set(queue.messages) == {queued.id}
            assert not place.exists()
            assert (tmp_path / "queue" / "damaged.damaged").exists()
    assert capsys.readouterr().out.count("queue.damaged") == 1


async def test_a_damaged_row_is_named_and_the_message_tried_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path) as queue:
        queued = await put(queue)
        await queue.save(queued)
        query = text("UPDATE queued SET state=:state")
        for state in (b"", b"[]", b'{"attempts": 1, "recipients": [1]}', b'{"attempts": 1}'):
            await queue._database.run(lambda connection, state=state: connection.execute(query, {"state": state}))
            async with opened(tmp_path) as again:
                assert again.messages[queued.id].pending() == [0]
    assert capsys.readouterr().out.count("queue.row_unreadable") == 4


async def test_many_at_once_share_flushes(tmp_path: Path) -> None:
    class Counting(Disk):
        folders = 0

        def sync_folder(self, path: Path | str) -> None:
            self.folders += 1
            super().sync_folder(path)

    disk = Counting()
    async with opened(tmp_path, disk) as queue:
        prepared = [await queue.prepare(envelope(), b"", Content.of(BODY)) for _ in range(20)]
        await asyncio.gather(*(queue.commit(one) for one in prepared))
        assert disk.folders <= 2
        await asyncio.gather(*(queue.finish(queued) for queued in list(queue.messages.values())))
        assert disk.folders <= 4
        assert not list(queue.folder.iterdir())
