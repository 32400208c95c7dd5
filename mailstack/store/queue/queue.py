"""The queue. A message is one file: its envelope first, then its bytes. It is queued once the file has its name.

Rows hold only what the file can't: attempts, what became of each recipient, when to try again. A message without a row is new.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, text

from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Body, Envelope, Notify, Recipient, Return, TlsWish, Turn
from mailstack.store.batching import Batcher
from mailstack.store.content import BLOCK, Content
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.drafts import Draft, draft_of, write_drafts
from mailstack.store.errors import StoreFailed, StoreProblem, from_os_error

log = get_logger()
MAGIC = b"mailstack-queue-1"
DAMAGED = ".damaged"  # what a file that can't be read is set aside with
KEEP_SMALL = 64 * 1024  # messages up to this size are kept in memory for their first attempt
KEEP_ALL = 32 << 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """A host's word that it has the message: what a notice of success says (RFC 3461 6.1)."""

    code: int
    enhanced: str | None
    text: str
    host: str | None
    final: bool  # in a mailbox


@dataclass(slots=True)
class RecipientState:
    """What became of one recipient so far."""

    done: bool = False
    reply: str = ""  # the last word on it
    delay_told: bool = False
    owed: Arrival | None = None  # it arrived, and the sender who asked for word of that was not told yet


@dataclass(slots=True)
class Queued:
    """A message in the queue."""

    envelope: Envelope
    size: int  # octets of the message
    offset: int  # where it begins in the file
    states: list[RecipientState]
    next_attempt: float = 0.0
    attempts: int = 0
    held: bool = False
    stopped: bool = False  # held because its account is stopped
    restored: bool = False  # held because it came out of a backup: it may have left since
    data: bytes | None = None  # the message, while it is small and new
    busy: bool = False
    begun: bool = False  # an attempt may have been made, also one that nobody knows the end of
    has_row: bool = False
    settled: frozenset[int] = frozenset()  # recipients who are done, and that is written down

    @property
    def id(self) -> str:
        return self.envelope.id

    def pending(self) -> list[int]:
        return [number for number, state in enumerate(self.states) if not state.done]


@dataclass(frozen=True, slots=True)
class PreparedQueued:
    """A message that is written and flushed, but not queued yet. With `draft` it is to be written when it is named."""

    envelope: Envelope
    size: int
    offset: int
    data: bytes | None
    draft: Draft | None = None


class Queue:
    """On the event loop; files are written in threads."""

    def __init__(self, folder: Path, database: Database, disk: Disk | None = None) -> None:
        self.folder = folder
        self._database = database
        self._disk = disk or Disk()
        self._executor = ThreadPoolExecutor(8, thread_name_prefix="queue")
        self.messages: dict[str, Queued] = {}
        self.on_queued: Callable[[Queued], None] | None = None
        self.on_finished: Callable[[Queued], None] = lambda _: None
        self._kept = 0
        self._drafts = Batcher(self._executor, partial(write_drafts, self._disk))
        self._namings = Batcher(self._executor, self._name, self._named)
        self._finished: list[tuple[Queued, asyncio.Future[None]]] = []
        self._finisher: asyncio.Task[None] | None = None

    async def _hop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    # Start ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read what is queued. Incomplete files are nobody's: they were never acknowledged."""
        found = await self._hop(self._read_folder)
        rows = await self._database.run(_rows)
        for queued in found:
            row = rows.pop(queued.id, None)
            if row is not None:
                try:
                    _restore(queued, row)
                except (ValueError, TypeError, KeyError) as problem:
                    log.error("queue.row_unreadable", id=queued.id, problem=str(problem))
            self.messages[queued.id] = queued
        if rows:
            log.warning("queue.rows_without_file", ids=sorted(rows))
            await self._database.run(_delete_rows, sorted(rows))

    def _read_folder(self) -> list[Queued]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = []
        for entry in sorted(os.scandir(self.folder), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                self._unlink(Path(entry.path))
                continue
            if entry.name.endswith(DAMAGED):
                continue
            try:
                envelope, offset = read_envelope(Path(entry.path))
                if envelope.id != entry.name:
                    raise ValueError(f"the envelope is that of {envelope.id}")
                size = entry.stat().st_size - offset
            except (ValueError, TypeError, KeyError, AttributeError, OSError) as problem:
                log.error("queue.damaged", file=entry.name, kept_as=entry.name + DAMAGED, problem=str(problem))
                with contextlib.suppress(OSError):
                    self._disk.rename(entry.path, entry.path + DAMAGED)
                continue
            found.append(Queued(envelope, size, offset, [RecipientState() for _ in envelope.recipients], begun=True))
        return found

    async def close(self) -> None:
        await self._namings.settled()
        if self._finisher is not None and not self._finisher.done():
            await self._finisher
        self._executor.shutdown()

    # Coming in ------------------------------------------------------------------------------------------------------

    async def prepare(self, envelope: Envelope, prefix: bytes, content: Content, *, alone: bool = False) -> PreparedQueued:
        """Write a message to a file of no name yet, flushed. Then commit or discard it.

        `alone`: nothing else must be safe before it is named, so that a small one may be written then, in the same hop.
        """
        head = orjson.dumps(_to_json(envelope))
        head = b"%b %d\n%b\n" % (MAGIC, len(head), head)
        draft = draft_of(os.fsencode(self._temporary(envelope)), head + prefix, content)
        small = draft.rest is None and draft.size - len(head) <= KEEP_SMALL
        data = draft.data[len(head) :] if small else None
        if alone and draft.rest is None:
            return PreparedQueued(envelope, draft.size - len(head), len(head), data, draft)
        try:
            if draft.rest is None:
                await self._drafts.do(draft)
            else:
                await self._hop(self._write_large, draft)
        except OSError as problem:
            raise from_os_error(problem) from problem
        return PreparedQueued(envelope, draft.size - len(head), len(head), data)

    def _write_large(self, draft: Draft) -> None:
        """By itself: others need not wait for it."""
        problem = write_drafts(self._disk, [draft])[0]
        if problem is not None:
            raise problem

    def _temporary(self, envelope: Envelope) -> Path:
        return self.folder / f".{envelope.id}"

    def discard(self, prepared: PreparedQueued) -> None:
        self._executor.submit(self._unlink, self._temporary(prepared.envelope))

    def _unlink(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._disk.unlink(path)

    async def commit(self, *prepared: PreparedQueued) -> None:
        """Durably queued when it returns, all or none; goes on if the caller is cancelled. Those that wait share a flush."""
        try:
            await self._namings.do(prepared)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except Exception as problem:
            log.exception("queue.commit_failed", ids=[one.envelope.id for one in prepared])
            raise StoreFailed(type(problem).__name__) from problem

    def _name(self, groups: list[tuple[PreparedQueued, ...]]) -> list[OSError | None]:
        """In a thread: each group whole or not at all."""
        results: list[OSError | None] = [None] * len(groups)
        drafts = [(number, one.draft) for number, group in enumerate(groups) for one in group if one.draft is not None]
        written = write_drafts(self._disk, [draft for _, draft in drafts])
        for (number, _), problem in zip(drafts, written, strict=True):
            results[number] = results[number] or problem
        for number, group in enumerate(groups):
            if results[number] is not None:
                continue
            for place, one in enumerate(group):
                try:
                    self._disk.rename(self._temporary(one.envelope), self.folder / one.envelope.id)
                except OSError as problem:
                    results[number] = problem
                    self._take_back(group[:place])
                    break
        try:
            self._disk.sync_folder(self.folder)
        except OSError as problem:
            for number, group in enumerate(groups):
                if results[number] is None:
                    results[number] = problem
                    self._take_back(group)
        return results

    def _take_back(self, group: tuple[PreparedQueued, ...]) -> None:
        for one in group:
            with contextlib.suppress(OSError):
                self._disk.rename(self.folder / one.envelope.id, self._temporary(one.envelope))

    def _named(self, group: tuple[PreparedQueued, ...], result: BaseException | None) -> None:
        for one in group:
            if result is None:
                self._add(one)
            else:
                self.discard(one)

    def _add(self, prepared: PreparedQueued) -> None:
        data = prepared.data
        if data is not None and self._kept + len(data) > KEEP_ALL:
            data = None
        self._kept += len(data or b"")
        states = [RecipientState() for _ in prepared.envelope.recipients]
        queued = Queued(prepared.envelope, prepared.size, prepared.offset, states, data=data)
        self.messages[queued.id] = queued
        if self.on_queued is not None:
            self.on_queued(queued)

    # Going out ------------------------------------------------------------------------------------------------------

    async def read(self, queued: Queued) -> bytes:
        """The whole message; for small ones."""
        if queued.data is not None:
            return queued.data
        return await self._hop(lambda: b"".join(self.chunks(queued)))  # type: ignore[no-any-return]

    async def read_header(self, queued: Queued, limit: int = 65536) -> bytes:
        """The first octets of the message."""
        if queued.data is not None:
            return queued.data[:limit]
        return await self._hop(lambda: next(self.chunks(queued, limit), b""))  # type: ignore[no-any-return]

    def chunks(self, queued: Queued, size: int = BLOCK) -> Iterator[bytes]:
        """Blocks of the message; from a thread."""
        with open(self.folder / queued.id, "rb") as file:
            file.seek(queued.offset)
            while block := file.read(size):
                yield block

    async def next_block(self, blocks: Iterator[bytes]) -> bytes:
        """One block in a thread, empty at the end."""
        return await self._hop(next, blocks, b"")  # type: ignore[no-any-return]

    def forget_data(self, queued: Queued) -> None:
        if queued.data is not None:
            self._kept -= len(queued.data)
            queued.data = None

    async def save(self, queued: Queued) -> None:
        """Keep state and schedule, durably."""
        queued.has_row = True
        await self._database.run(_save_row, queued.id, queued.next_attempt, queued.held, state_of(queued))

    async def finish(self, queued: Queued) -> None:
        """Nothing is owed any more. What finishes together shares a flush."""
        self.messages.pop(queued.id, None)
        self.forget_data(queued)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finished.append((queued, future))
        if self._finisher is None or self._finisher.done():
            self._finisher = asyncio.create_task(self._finish_waiting())
        await future

    async def _finish_waiting(self) -> None:
        while self._finished:
            group, self._finished = self._finished, []
            try:
                await self._hop(self._remove, [queued.id for queued, _ in group])
                rows = [queued.id for queued, _ in group if queued.has_row]
                if rows:
                    await self._database.run(_delete_rows, rows)
            except (OSError, StoreProblem) as problem:
                log.error("queue.remove_failed", ids=[queued.id for queued, _ in group], problem=str(problem))
                await self._remember_done([queued for queued, _ in group])
            finally:
                for queued, future in group:
                    if not future.done():
                        future.set_result(None)
                    self.on_finished(queued)

    async def _remember_done(self, left: list[Queued]) -> None:
        """A file that could not be removed is found at the next start: its row says that nothing is owed."""
        for queued in left:
            for state in queued.states:
                state.done = True
            with contextlib.suppress(StoreProblem):
                await self.save(queued)

    def _remove(self, ids: list[str]) -> None:
        for id in ids:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self.folder / id)
        self._disk.sync_folder(self.folder)


def read_envelope(path: Path) -> tuple[Envelope, int]:
    """Envelope and offset of the message. Raises ValueError for a file that is not whole."""
    with open(path, "rb") as file:
        line = file.readline(64)
        magic, _, length = line.rstrip(b"\n").partition(b" ")
        if magic != MAGIC or not length.isdigit() or not line.endswith(b"\n"):
            raise ValueError("not a queue file")
        head = file.read(int(length) + 1)
        if len(head) != int(length) + 1:
            raise ValueError("the envelope is cut short")
        return _from_json(orjson.loads(head)), len(line) + len(head)


def _address(address: Address) -> list[str]:
    return [address.local, address.domain]


def _to_json(envelope: Envelope) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "sender": _address(envelope.sender) if envelope.sender is not None else None,
        "recipients": [
            {
                "address": _address(recipient.address),
                "notify": recipient.notify.value if recipient.notify is not None else None,
                "original": recipient.original,
            }
            for recipient in envelope.recipients
        ],
        "received": envelope.received,
        "ret": envelope.ret.value if envelope.ret else None,
        "envelope_id": envelope.envelope_id,
        "smtputf8": envelope.smtputf8,
        "body": envelope.body.value,
        "account": envelope.account,
        "own": envelope.own,
        "forwarded": envelope.forwarded,
        "tls": envelope.tls.value,
        "origin": envelope.origin,
        "sent": envelope.sent,
        "signed_as": envelope.signed_as,
        "after": [envelope.after.id, envelope.after.recipient] if envelope.after is not None else None,
    }


def _from_json(value: dict[str, Any]) -> Envelope:
    return Envelope(
        id=str(value["id"]),
        sender=Address(*value["sender"]) if value["sender"] is not None else None,
        recipients=tuple(
            Recipient(Address(*one["address"]), Notify(one["notify"]) if one["notify"] is not None else None, one["original"])
            for one in value["recipients"]
        ),
        received=float(value["received"]),
        ret=Return(value["ret"]) if value["ret"] else None,
        envelope_id=value["envelope_id"],
        smtputf8=bool(value["smtputf8"]),
        body=Body(value["body"]),
        account=value["account"],
        own=bool(value.get("own", False)),
        forwarded=bool(value.get("forwarded", False)),
        tls=TlsWish(value.get("tls", TlsWish.POLICY.value)),
        origin=value.get("origin"),
        sent=tuple(value.get("sent") or ()),
        signed_as=value.get("signed_as"),
        after=Turn(*value["after"]) if value.get("after") else None,
    )


def state_of(queued: Queued) -> bytes:
    recipients = [[state.done, state.reply, state.delay_told, _owed(state.owed)] for state in queued.states]
    flags = {"stopped": queued.stopped, "restored": queued.restored}
    return orjson.dumps({"attempts": queued.attempts, "recipients": recipients, **flags})


def _owed(arrival: Arrival | None) -> list[Any] | None:
    return [arrival.code, arrival.enhanced, arrival.text, arrival.host, arrival.final] if arrival is not None else None


def _restore(queued: Queued, row: Any) -> None:
    value = orjson.loads(row.state)
    queued.attempts = value["attempts"]
    queued.next_attempt = row.next_attempt
    queued.held = bool(row.held)
    queued.stopped = bool(value.get("stopped", False))
    queued.restored = bool(value.get("restored", False))
    queued.has_row = True
    for state, (done, reply, delay_told, *more) in zip(queued.states, value["recipients"], strict=False):
        state.done, state.reply, state.delay_told = done, reply, delay_told
        state.owed = Arrival(*more[0]) if more and more[0] is not None else None
    queued.settled = frozenset(range(len(queued.states))).difference(queued.pending())


def _rows(connection: Connection) -> dict[str, Any]:
    return {row.id: row for row in connection.execute(text("SELECT id, next_attempt, held, state FROM queued"))}


def _delete_rows(connection: Connection, ids: list[str]) -> None:
    connection.execute(text("DELETE FROM queued WHERE id=:id"), [{"id": id} for id in ids])


def _save_row(connection: Connection, id: str, next_attempt: float, held: bool, state: bytes) -> None:
    query = text("INSERT OR REPLACE INTO queued (id, next_attempt, held, state) VALUES (:id, :next, :held, :state)")
    connection.execute(query, {"id": id, "next": next_attempt, "held": held, "state": state})
