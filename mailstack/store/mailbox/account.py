"""A mail account: the async door of its Maildir and index. One turn at a time changes it, in the order of the calls.

A change is planned on the event loop, made durable in one hop to a thread, applied to the state and published.
File operations of STORE, COPY, MOVE and EXPUNGE are promised by the commit and trail behind it in order.
"""

import asyncio
import contextlib
import functools
import os
import random
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from msgspec import structs

from mailstack.log import get_logger
from mailstack.message.flag import SYSTEM, Flags
from mailstack.store.batching import Batcher
from mailstack.store.disk import Disk
from mailstack.store.drafts import Draft, draft_of, write_drafts
from mailstack.store.errors import (
    MailboxExists,
    MailboxInUse,
    MessageGone,
    NameRefused,
    NoSpace,
    NoSuchMailbox,
    OverQuota,
    StoreFailed,
    StoreProblem,
    from_os_error,
)
from mailstack.store.mailbox import answers, keywords, marks, subscriptions
from mailstack.store.mailbox.facts import (
    Added,
    Damaged,
    Entry,
    Fact,
    Flagged,
    Gone,
    Head,
    Link,
    MailboxFacts,
    Operation,
    Rename,
    Unlink,
    pack,
    unpack,
)
from mailstack.store.mailbox.filename import compose
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR, from_folder, normalise, to_folder
from mailstack.store.mailbox.index import IN_USE, Index, Snapshot, damaged
from mailstack.store.mailbox.loading import load_state, snapshot_of
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, Naming, give_names
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.scan import Adoption, Known, rename_adopted, scan
from mailstack.store.mailbox.state import SEGMENT, MailboxState
from mailstack.store.mailbox.values import (
    AccountFolder,
    Appended,
    Copied,
    FlagsChanged,
    How,
    MailboxGone,
    MailboxInfo,
    MailboxStatus,
    NewMessage,
    Prepared,
    SpecialUse,
    Stored,
    Usage,
)

File = tuple[int, bytes, bool]  # UID, path, whether it is converted to CRLF
P = ParamSpec("P")
R = TypeVar("R")
log = get_logger()

SEAL = "index-seal"
SNAPSHOT_ROWS = 300
ADOPTED_AT_ONCE = 4096
ROWS_SECONDS = 1.0  # how long rows that the files repeat may wait
TRAILING_MANY = 20_000
PATIENCE = 5.0
RESCAN_SECONDS = 30.0
JUST_NOW = 2.0
NEVER_SEEN = (0, 0)  # the times of a folder that must be looked at
STALE_TEMPORARY = 36 * 3600
DELIVERIES_KEPT = 14 * 86400
PROVISIONED = (
    ("Sent", SpecialUse.SENT),
    ("Drafts", SpecialUse.DRAFTS),
    ("Junk", SpecialUse.JUNK),
    ("Trash", SpecialUse.TRASH),
    ("Archive", SpecialUse.ARCHIVE),
)


@dataclass(slots=True)
class Write:
    """What is made durable, in this order: names, folders, the row that answers stand on."""

    naming: Naming
    entry: Entry = field(default_factory=lambda: Entry([]))
    taken: list[tuple[Mailbox, list[str | None]]] = field(default_factory=list)  # with the keywords they had
    sync_first: list[bytes] = field(default_factory=list)  # paths whose folders must be durable before the commit
    deliveries: list[tuple[str, int, int]] = field(default_factory=list)
    told_by_files: bool = False  # the row says only what the files say: it may follow later


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all accounts share."""

    executor: Executor
    disk: Disk
    clock: Callable[[], float]
    randomness: random.Random
    host: str
    answers: answers.AnswerCache
    drafts: Batcher[Draft, None]
    namings: Batcher[Naming, None]


class Account:
    """Made by Mailboxes.account()."""

    def __init__(self, folder: AccountFolder, surroundings: Surroundings) -> None:
        self.folder = folder
        self._with = surroundings
        self.answers = answers.AccountAnswers(surroundings.answers, str(folder.path))
        self.maildir = Maildir(folder.path / "Maildir", surroundings.disk)
        self.index: Index
        self.quota = folder.quota
        self.last_used = time.monotonic()
        self._holders = 0
        self._mailboxes: dict[str, Mailbox] = {}
        self._subscribed: set[str] = set()
        self._heads: dict[str, Head] = {}
        self._pending: dict[str, list[Fact]] = {}
        self._turn = asyncio.Lock()
        self._rows = 0
        self._unwritten: list[Entry] = []  # rows that follow soon: the files say the same
        self._rows_timer: asyncio.TimerHandle | None = None
        self._rows_task: asyncio.Task[None] | None = None
        self._last_row = 0
        self._closed_row = 0
        self._suspicious = False
        self._trailing: deque[tuple[int, list[Operation]]] = deque()
        self._trailing_done = asyncio.Event()
        self._trailing_done.set()
        self._trailer: asyncio.Task[None] | None = None
        self._waiting: list[tuple[list[Prepared], asyncio.Future[Appended]]] = []
        self._committer: asyncio.Task[None] | None = None
        self._to_keep: set[tuple[str, str, int]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def hop(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run blocking work in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._with.executor, functools.partial(function, *arguments, **named))

    def used(self) -> None:
        self.last_used = time.monotonic()

    def hold(self) -> None:
        """Keep it open: a session goes on with it between its calls. let_go() once for each hold()."""
        self._holders += 1

    def let_go(self) -> None:
        self._holders -= 1
        self.used()

    @property
    def busy(self) -> bool:
        """Whether anything is open or under way."""
        return (
            bool(self._holders)
            or any(mailbox.users for mailbox in self._mailboxes.values())
            or self._turn.locked()
            or bool(self._waiting or self._trailing or self._to_keep)
        )

    # Start and stop -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the index, finish what was promised, and list the folders."""
        try:
            await self.hop(self._start)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except sqlite3.Error as problem:
            raise _from_sqlite(problem) from problem

    def _start(self) -> None:
        disk = self._with.disk
        is_new = not (self.maildir.root / marks.FILE).exists()
        index = self.folder.index
        for path in (*reversed(self.folder.path.parents), self.folder.path, *reversed(index.parents)):
            if not path.exists():
                # Another account of the same domain may make it at the same moment.
                with contextlib.suppress(FileExistsError):
                    disk.mkdir(path)
                disk.sync_folder(path.parent)
        self.index = Index(self.folder.index, disk)
        try:
            self._take_all(is_new)
        except (sqlite3.DatabaseError, Damaged) as problem:
            if not damaged(problem):
                raise
            log.error("store.index_damaged", index=str(self.folder.index), problem=str(problem))
            self._mailboxes.clear()
            self._pending.clear()
            self.index.start_anew(0)
            self._take_all(is_new)

    def _take_all(self, is_new: bool) -> None:
        disk = self._with.disk
        self._heads = self.index.heads()
        self._last_row = self.index.last()
        self._closed_row = self._last_row
        rows = self.index.journal()
        self._rows = len(rows)
        for row in rows:
            if row.open:
                self.maildir.carry_out(list(row.entry.operations), again=True)
            for changes in row.entry.changes:
                self._pending.setdefault(changes.mailbox, []).extend(changes.facts)
        if any(row.open for row in rows):
            # They are done: what comes into their places from now on is not theirs.
            self.index.finish(self._last_row)
        self.maildir.make_folder(self.maildir.root)
        for folder in sorted((entry.name for entry in os.scandir(self.maildir.root) if entry.is_dir()), key=_by_name):
            self._take_folder(folder)
        self._subscribed = subscriptions.read(self.maildir.root)
        if is_new:
            for name, use in PROVISIONED:
                if name not in self._mailboxes:
                    self._make(name, use)
            self._subscribed |= {INBOX, *(name for name, _ in PROVISIONED)}
            subscriptions.write(disk, self.maildir.root, self._subscribed)
        # Last: INBOX's marks say that all of this is done.
        self._take_folder("")
        if self.index.unclean or self.index.seal != self._seal():
            self._go_on_at_marks()
        self._clean_temporary()
        for leftover in (*self.folder.path.glob("deleted-*"), *self.folder.path.glob("new-*")):
            shutil.rmtree(leftover, ignore_errors=True)

    def _go_on_at_marks(self) -> None:
        """After a crash, or in an older index, rows may be missing whose files are there.

        What may have been given is never given again.
        """
        heads = []
        for mailbox in self._mailboxes.values():
            head = self._heads.get(mailbox.id)
            if head is not None:
                uid_next = max(head.uid_next, mailbox.marks.uid_mark)
                modseq = max(head.highest_modseq, mailbox.marks.modseq_mark)
                head = structs.replace(head, uid_next=uid_next, highest_modseq=modseq, folder_times=NEVER_SEEN)
                self._heads[mailbox.id] = head
                heads.append(Snapshot(mailbox.id, head, {}))
        self.index.snapshot(heads, 0, 0)

    def _take_folder(self, folder: str) -> None:
        """A folder with a cur/ is a mailbox, whoever made it."""
        name = from_folder(folder)
        path = self.maildir.folder_path(folder)
        if name is None or not (path / "cur").is_dir():
            return
        name = normalise(name)
        if name in self._mailboxes or (name == INBOX and folder):
            log.warning("store.folder_skipped", folder=str(path), mailbox=name, problem="another folder is that mailbox")
            return
        found = marks.read(path)
        if found is not None and any(mailbox.id == found.id for mailbox in self._mailboxes.values()):
            # A copy of a whole folder: it becomes a mailbox of its own.
            log.warning("store.folder_copied", folder=str(path), mailbox=name)
            found = None
        if found is None:
            self.maildir.make_folder(path)
            found = self._new_marks(None)
            marks.write(self._with.disk, path, found)
            self._heads[found.id] = Head(found.uid_validity, 1, 1)
        self._mailboxes[name] = Mailbox(self, name, folder, found)

    def _new_marks(self, special_use: SpecialUse | None) -> Marks:
        highest = max((mailbox.uid_validity for mailbox in self._mailboxes.values()), default=0)
        validity = marks.next_uid_validity(self._with.disk, self.folder.path, self._with.randomness, highest)
        identity = f"{self._with.randomness.getrandbits(80):020x}"
        return Marks(validity, identity, special_use.value if special_use else None)

    def _make(self, name: str, special_use: SpecialUse | None) -> Mailbox:
        disk = self._with.disk
        folder = to_folder(name)
        path = self.maildir.folder_path(folder)
        made = self._new_marks(special_use)
        if os.path.lexists(path):
            # What another program began.
            self.maildir.make_folder(path)
            marks.write(disk, path, made)
        else:
            # Beside, then renamed: it is there whole or not at all.
            beside = self.folder.path / f"new-{made.id}"
            self.maildir.make_folder(beside)
            marks.write(disk, beside, made)
            disk.rename(beside, path)
            disk.sync_folder(path.parent)
        head = Head(made.uid_validity, 1, 1, folder_times=self.maildir.times(folder))
        self.index.snapshot([Snapshot(made.id, head, {})], 0, 0)
        self._heads[made.id] = head
        mailbox = self._mailboxes[name] = Mailbox(self, name, folder, made)
        return mailbox

    def _clean_temporary(self) -> None:
        """Maildir's rule: what lay in tmp/ for 36 hours is nobody's."""
        limit = self._with.clock() - STALE_TEMPORARY
        for mailbox in self._mailboxes.values():
            with contextlib.suppress(OSError), os.scandir(self.maildir.folder_path(mailbox.folder) / "tmp") as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < limit:
                        os.unlink(entry.path)

    async def close(self) -> None:
        """Finish what is promised, write snapshots."""
        if self._rows_timer is not None:
            self._rows_timer.cancel()
            self._rows_timer = None
        if self._rows_task is not None:
            await self._rows_task
        async with self._turn:
            await self._settled()
            if self._keeper is not None:
                await self._keeper
            clean = False
            with contextlib.suppress(StoreProblem):
                await self._snapshot(final=True)
                clean = not self._suspicious
            await self.hop(self._close_index, clean)

    def _close_index(self, clean: bool) -> None:
        """The same number in the index and beside it: an older index that is put back is known by its own."""
        seal = None
        if clean and self.index.marked:
            with contextlib.suppress(OSError):
                number = self._with.randomness.randrange(1, IN_USE)
                self._with.disk.replace_file(self.folder.path / SEAL, f"{number}\n".encode())
                seal = number
        self.index.close(seal)

    def _seal(self) -> int:
        try:
            return int((self.folder.path / SEAL).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    # Loading and snapshots ------------------------------------------------------------------------------------------

    async def _load(self, mailbox: Mailbox) -> None:
        """In the turn."""
        if mailbox.state is None:
            head = self._heads.get(mailbox.id)
            pending = self._pending.get(mailbox.id, [])
            path = self.maildir.folder_path(mailbox.folder)
            try:
                mailbox.state = await self.hop(load_state, self.index, mailbox.marks, head, pending, path)
            except OSError as problem:
                raise from_os_error(problem) from problem
            except (sqlite3.Error, Damaged) as problem:
                if not damaged(problem):
                    raise _from_sqlite(problem) from problem
                await self._start_anew(problem)
                head, pending = None, []
                mailbox.state = await self.hop(load_state, self.index, mailbox.marks, head, pending, path)
            self._pending.pop(mailbox.id, None)
            mailbox.folder_times = head.folder_times if head is not None and not pending else NEVER_SEEN
            self.maildir.saw(mailbox.folder, mailbox.folder_times)
            mailbox.recent_from = mailbox.state.uid_next

    async def _snapshot(self, final: bool = False) -> None:
        """In the turn: write what changed since the last one, and empty the journal."""
        if self._suspicious or (self._rows == 0 and not final):
            return
        if final:
            await self._settled()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._settled()
        except TimeoutError:
            return  # the disk fails: later
        for mailbox in self._mailboxes.values():
            if mailbox.id in self._pending:
                await self._load(mailbox)
        snapshots = []
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                snapshot = snapshot_of(mailbox.state, mailbox.folder_times)
                if snapshot.segments or snapshot.head != self._heads.get(mailbox.id):
                    snapshots.append((mailbox.state, snapshot))
        forget = int(self._with.clock()) - DELIVERIES_KEPT
        await self._durably(self.index.snapshot, [snapshot for _, snapshot in snapshots], self._last_row, forget)
        for state, snapshot in snapshots:
            self._heads[snapshot.mailbox] = snapshot.head
            state.dirty.difference_update(snapshot.segments)
        self._rows = 0
        self._unwritten.clear()

    async def _durably(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """A hop that writes. After a failure, the index is opened anew and rows that were not answered are taken back."""
        try:
            if self._suspicious:
                await self.hop(self._recover)
                self._suspicious = False
            return await self.hop(function, *arguments, **named)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except sqlite3.Error as problem:
            self._suspicious = True
            trouble: sqlite3.Error = problem
            try:
                await self.hop(self._recover)
                self._suspicious = False
            except OSError:
                pass
            except sqlite3.Error as found:
                trouble = found
            if damaged(problem) or damaged(trouble):
                await self._start_anew(problem)
            raise _from_sqlite(problem) from problem

    async def _start_anew(self, problem: Exception) -> None:
        """In the turn: the index is damaged. What is loaded is written anew, the rest is found in the folders."""
        log.error("store.index_damaged", index=str(self.folder.index), problem=str(problem))
        try:
            await self.hop(self.index.start_anew, self._last_row)
        except OSError as trouble:
            raise from_os_error(trouble) from trouble
        except sqlite3.Error as trouble:
            raise _from_sqlite(trouble) from trouble
        self._heads.clear()
        self._pending.clear()
        self._unwritten.clear()
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                mailbox.state.dirty.update(uid // SEGMENT for uid in mailbox.state.uids)
        self._rows = SNAPSHOT_ROWS
        self._suspicious = False

    def _recover(self) -> None:
        self.index.reopen()
        if self.index.last() > self._last_row:
            self.index.drop_after(self._last_row)

    # Commits --------------------------------------------------------------------------------------------------------

    def _write(self, write: Write, entries: list[Entry], closed: int) -> int:
        """In a thread."""
        if write.sync_first:
            self.maildir.sync_parents(write.sync_first)
        problem = give_names(self._with.disk, [write.naming])[0]
        if problem is not None:
            raise problem
        try:
            return self.index.commit(entries, closed, write.deliveries)
        except BaseException:
            self.maildir.take_back(write.naming.renames)
            raise

    async def _commit(self, write: Write, touched: list[Mailbox], origin: object = None) -> None:
        """In the turn: make it durable, apply it, tell the sessions."""
        new_marks: list[tuple[Mailbox, Marks]] = []
        for mailbox in touched:
            path = self.maildir.folder_path(mailbox.folder)
            uid_next, modseq = mailbox.loaded.uid_next, mailbox.loaded.highest_modseq
            for changes in write.entry.changes:
                if changes.mailbox == mailbox.id:
                    for fact in changes.facts:
                        modseq = max(modseq, fact.modseq)
                        if isinstance(fact, Added):
                            uid_next = max(uid_next, max(unpack("I", fact.uids)) + 1)
            raised = mailbox.marks.raised(uid_next, modseq)
            if raised is not None:
                write.naming.marks.append((path, raised))
                new_marks.append((mailbox, raised))
        if write.told_by_files and self.index.marked and not self._suspicious:
            try:
                await self._with.namings.do(write.naming)
            except OSError as problem:
                raise from_os_error(problem) from problem
            self._unwritten.append(write.entry)
            self._write_rows_soon()
        else:
            entries = [*self._unwritten, write.entry]
            self._last_row = await self._durably(self._write, write, entries, self._closed_row)
            self._unwritten.clear()
        self._rows += 1
        for mailbox, raised in new_marks:
            mailbox.marks = raised
        for mailbox in touched:
            mailbox.own_changes = True
        by_id = {mailbox.id: mailbox for mailbox in touched}
        published = []
        for changes in write.entry.changes:
            mailbox = by_id[changes.mailbox]
            for fact in changes.facts:
                change = mailbox.loaded.apply(fact)
                if isinstance(change, FlagsChanged):
                    change = FlagsChanged(change.uids, change.modseq, origin)
                published.append((mailbox, change))
        if write.entry.operations:
            self._trail(self._last_row, list(write.entry.operations))
        for mailbox, change in published:
            mailbox.publish(change)

    def _write_rows_soon(self) -> None:
        if self._rows_timer is None:
            self._rows_timer = asyncio.get_running_loop().call_later(ROWS_SECONDS, self._begin_rows)

    def _begin_rows(self) -> None:
        self._rows_timer = None
        self._rows_task = asyncio.create_task(self._write_rows())

    async def _write_rows(self) -> None:
        """Spare a start after a crash the look at the folders."""
        async with self._turn:
            if self._unwritten:
                with contextlib.suppress(StoreProblem):
                    self._last_row = await self._durably(
                        self.index.commit, list(self._unwritten), self._closed_row, flush=False
                    )
                    self._unwritten.clear()

    def _trail(self, row: int, operations: list[Operation]) -> None:
        self._trailing.append((row, operations))
        self._trailing_done.clear()
        if self._trailer is None or self._trailer.done():
            self._trailer = asyncio.create_task(self._carry_out())

    async def _carry_out(self) -> None:
        """Do what was promised, in order, as often as it takes."""
        delay = 0.2
        while self._trailing:
            row, operations = self._trailing[0]
            try:
                await self.hop(self.maildir.carry_out, operations)
            except (OSError, StoreProblem) as problem:
                log.error("store.promise_delayed", folder=str(self.folder.path), row=row, problem=str(problem))
                await asyncio.sleep(delay)
                delay = min(30.0, delay * 2)
                continue
            self._trailing.popleft()
            self._closed_row = row
        self._trailing_done.set()

    async def _settled(self) -> None:
        """Wait until all promised file operations are done."""
        await self._trailing_done.wait()

    async def _after_turn(self) -> None:
        if self._rows >= SNAPSHOT_ROWS:
            with contextlib.suppress(StoreProblem):
                await self._snapshot()
        if sum(len(operations) for _, operations in self._trailing) > TRAILING_MANY:
            await self._settled()

    async def reading(self, blocking: Callable[[], R], again: Callable[[], Awaitable[R]]) -> R:
        """Read files; when one is not where it should be, wait for what trails and look once more."""
        try:
            return await self.hop(blocking)
        except MessageGone:
            if self._trailing_done.is_set():
                raise
            await self._settled()
            return await again()
        except OSError as problem:
            raise from_os_error(problem) from problem

    async def reading_many(
        self, files: list[File], blocking: Callable[[list[File]], dict[int, R]], again: Callable[[list[int]], list[File]]
    ) -> dict[int, R]:
        """Read of many files what is there; for the others wait for what trails, and look once more."""
        try:
            found = await self.hop(blocking, files)
            missing = [uid for uid, _, _ in files if uid not in found]
            if missing and not self._trailing_done.is_set():
                await self._settled()
                found |= await self.hop(blocking, again(missing))
            return found
        except OSError as problem:
            raise from_os_error(problem) from problem

    # Mailboxes ------------------------------------------------------------------------------------------------------

    def _find(self, name: str) -> Mailbox:
        mailbox = self._mailboxes.get(normalise(name))
        if mailbox is None:
            raise NoSuchMailbox(name)
        return mailbox

    def _still(self, mailbox: Mailbox) -> MailboxState:
        """In the turn: a mailbox that a session has open may have been deleted by another."""
        if mailbox.deleted:
            raise NoSuchMailbox(mailbox.name)
        return mailbox.loaded

    async def listing(self) -> list[MailboxInfo]:
        """All mailboxes, and the names above them that are none (not selectable), by name."""
        self.used()
        names = set(self._mailboxes)
        for name in tuple(names):
            parts = name.split(SEPARATOR)
            names.update(SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts)))
        ordered = sorted(names, key=lambda name: (name != INBOX, name))
        parents = {name.rpartition(SEPARATOR)[0] for name in names}
        return [
            MailboxInfo(
                name=name,
                selectable=name in self._mailboxes,
                subscribed=name in self._subscribed,
                special_use=self._mailboxes[name].special_use if name in self._mailboxes else None,
                children=name in parents,
            )
            for name in ordered
        ]

    def subscriptions(self) -> frozenset[str]:
        """Subscribed names, whether they exist or not."""
        return frozenset(self._subscribed)

    async def refresh(self) -> None:
        """Take over folders that other programs made, and let go of those they removed."""
        async with self._turn:
            before = dict(self._mailboxes)
            await self.hop(self._refresh)
            for name, mailbox in before.items():
                if name not in self._mailboxes:
                    self._forget(mailbox)

    def _refresh(self) -> None:
        found = {entry.name for entry in os.scandir(self.maildir.root) if entry.name.startswith(".") and entry.is_dir()}
        for name, mailbox in list(self._mailboxes.items()):
            if mailbox.folder and mailbox.folder not in found:
                del self._mailboxes[name]
        known = {mailbox.folder for mailbox in self._mailboxes.values()}
        for folder in sorted(found - known, key=_by_name):
            self._take_folder(folder)

    def _forget(self, mailbox: Mailbox) -> None:
        mailbox.deleted = True
        self._heads.pop(mailbox.id, None)
        self._pending.pop(mailbox.id, None)
        mailbox.publish(MailboxGone())

    async def create(self, name: str, special_use: SpecialUse | None = None) -> Mailbox:
        """Make a mailbox; the names above it come into being as far as they are needed to show it."""
        async with self._turn:
            name = normalise(name)
            if name in self._mailboxes:
                raise MailboxExists(name)
            to_folder(name)
            await self._finish()
            return await self._durably(self._make, name, special_use)

    async def _finish(self) -> None:
        """In the turn, before a name is given to another folder: no promise may be kept there once more after a crash."""
        await self._settled()
        await self._durably(self.index.finish, self._closed_row)

    async def delete(self, name: str) -> None:
        """Remove a mailbox and its messages."""
        async with self._turn:
            mailbox = self._find(name)
            if mailbox.name == INBOX:
                raise MailboxInUse(name)
            await self._finish()
            aside = await self._durably(self._put_aside, mailbox)
            del self._mailboxes[mailbox.name]
            self._forget(mailbox)
            await self.hop(shutil.rmtree, aside, ignore_errors=True)
            # What the index still has of it is nobody's: the id never comes again.
            with contextlib.suppress(StoreProblem):
                await self._durably(self.index.forget, mailbox.id)

    def _put_aside(self, mailbox: Mailbox) -> Path:
        disk = self._with.disk
        path = self.maildir.folder_path(mailbox.folder)
        aside = self.folder.path / f"deleted-{mailbox.id}"
        with contextlib.suppress(FileNotFoundError):
            disk.rename(path, aside)
            try:
                disk.sync_folder(self.maildir.root)
            except OSError:
                os.rename(aside, path)
                raise
        return aside

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox with all below it; INBOX gives its messages away and stays (RFC 9051 6.3.6)."""
        old, new = normalise(old), normalise(new)
        if old == INBOX:
            await self._give_away_inbox(new)
            return
        async with self._turn:
            moving = {
                name: new + name[len(old) :] for name in self._mailboxes if name == old or name.startswith(old + SEPARATOR)
            }
            if not moving:
                raise NoSuchMailbox(old)
            if new == old or new.startswith(old + SEPARATOR):
                raise NameRefused("a mailbox can't go below itself")
            if any(target in self._mailboxes for target in moving.values()):
                raise MailboxExists(new)
            await self._finish()
            places = [self.maildir.folder_path(to_folder(target)) for target in moving.values()]
            if await self.hop(lambda: any(os.path.lexists(path) for path in places)):
                # A folder of another program's that is no mailbox.
                raise MailboxExists(new)
            operations: list[Operation] = [
                Rename(os.fsencode(self._mailboxes[name].folder), os.fsencode(to_folder(target)))
                for name, target in moving.items()
            ]
            await self._commit(Write(Naming(self.maildir), Entry([], operations)), [])
            await self._settled()
            for name, target in moving.items():
                mailbox = self._mailboxes.pop(name)
                mailbox.moved(target, to_folder(target))
                self._mailboxes[target] = mailbox
            with contextlib.suppress(StoreProblem):
                await self._finish()

    async def _give_away_inbox(self, new: str) -> None:
        await self.create(new)
        inbox = await self.open(INBOX)
        try:
            await inbox.move(list(inbox.uids), new)
        finally:
            inbox.release()

    async def subscribe(self, name: str) -> None:
        await self._subscribe(lambda names: names | {normalise(name)})

    async def unsubscribe(self, name: str) -> None:
        await self._subscribe(lambda names: names - {normalise(name)})

    async def _subscribe(self, change: Callable[[set[str]], set[str]]) -> None:
        async with self._turn:
            names = change(self._subscribed)
            await self._durably(subscriptions.write, self._with.disk, self.maildir.root, names)
            self._subscribed = names

    async def open(self, name: str) -> Mailbox:
        """A mailbox to work with, seen afresh. Call its release() when done."""
        self.used()
        mailbox = self._find(name)
        mailbox.users += 1
        try:
            async with self._turn:
                if mailbox.deleted:
                    raise NoSuchMailbox(name)
                await self._load(mailbox)
            await self.check(mailbox)
        except BaseException:
            mailbox.users -= 1
            raise
        return mailbox

    async def status(self, name: str) -> MailboxStatus:
        mailbox = await self.open(name)
        try:
            return mailbox.status()
        finally:
            mailbox.release()

    async def usage(self) -> Usage:
        """Octets and messages of all mailboxes."""
        if all(self._counted(mailbox) for mailbox in self._mailboxes.values()):
            return self._usage()
        async with self._turn:
            return await self._count()

    def _counted(self, mailbox: Mailbox) -> bool:
        """Whether what a mailbox holds is known without a look at the disk."""
        if mailbox.state is not None:
            return mailbox.folder_times != NEVER_SEEN or mailbox.scanned_at > 0
        head = self._heads.get(mailbox.id)
        return head is not None and head.folder_times != NEVER_SEEN and mailbox.id not in self._pending

    def _usage(self) -> Usage:
        octets = messages = 0
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                octets += mailbox.state.octets
                messages += len(mailbox.state.uids)
            else:
                octets += self._heads[mailbox.id].octets
                messages += self._heads[mailbox.id].messages
        return Usage(octets, messages)

    async def _count(self) -> Usage:
        """In the turn."""
        for mailbox in list(self._mailboxes.values()):
            if not self._counted(mailbox):
                # After a crash, or without an index, only the folder knows.
                await self._load(mailbox)
                await self._look(mailbox)
        return self._usage()

    # Appending ------------------------------------------------------------------------------------------------------

    async def prepare(self, name: str, message: NewMessage) -> Prepared:
        """Write a message to tmp/ and flush it. Then commit or discard it."""
        prepared, draft = self._draft(name, message)
        try:
            if draft.rest is None:
                await self._with.drafts.do(draft)
            else:
                await self.hop(_write_large, self._with.disk, draft)
        except OSError as problem:
            raise from_os_error(problem) from problem
        return prepared

    async def append(self, name: str, message: NewMessage) -> Appended:
        """Prepare and commit one message; a small one is written and named in one hop."""
        if message.content.descriptor is not None:
            return await self.commit([await self.prepare(name, message)])
        prepared, draft = self._draft(name, message)
        return await self.commit([replace(prepared, draft=draft)])

    def _draft(self, name: str, message: NewMessage) -> tuple[Prepared, Draft]:
        mailbox = self._find(name)
        self.used()
        unique = message.unique or self.new_unique()
        temporary = mailbox.temporary(f"{unique}.{self._with.randomness.getrandbits(32):08x}")
        draft = draft_of(self.maildir.path(temporary), message.prefix, message.content)
        date = int(self._with.clock() if message.internal_date is None else message.internal_date)
        flags = message.flags & SYSTEM
        return Prepared(
            mailbox.name, temporary, draft.size, date, unique, flags, message.keywords, message.fresh, message.once
        ), draft

    def new_unique(self) -> str:
        """An EMAILID: sorts by time, never given twice."""
        return f"{int(self._with.clock() * 1000):011x}{self._with.randomness.getrandbits(48):012x}"

    def discard(self, prepared: Sequence[Prepared]) -> None:
        """Forget prepared messages."""
        names = [item.temporary for item in prepared]
        if names:
            self._with.executor.submit(self.maildir.discard, names)

    def commit(self, prepared: Sequence[Prepared]) -> "asyncio.Future[Appended]":
        """All or none are in their mailbox, durable, when the future is done. It goes on if nobody waits any more."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(prepared), future))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting())
        return future

    async def _commit_waiting(self) -> None:
        """Commit all that wait at this moment as one group: they share the flushes."""
        while self._waiting:
            async with self._turn:
                batch, self._waiting = self._waiting, []
                try:
                    await self._append_group(batch)
                except StoreProblem as problem:
                    if len(batch) > 1:
                        await self._append_one_by_one(batch)
                    else:
                        self._refuse(batch[0], problem)
                except BaseException as problem:
                    for item in batch:
                        self._refuse(item, StoreFailed(type(problem).__name__))
                    if not isinstance(problem, Exception):
                        raise
                    log.exception("store.append_failed", folder=str(self.folder.path))
                await self._after_turn()

    async def _append_one_by_one(self, batch: list[tuple[list[Prepared], asyncio.Future[Appended]]]) -> None:
        """One of a group may be what fails."""
        for item in batch:
            try:
                await self._append_group([item])
            except StoreProblem as problem:
                self._refuse(item, problem)

    def _refuse(self, item: tuple[list[Prepared], asyncio.Future[Appended]], problem: StoreProblem) -> None:
        prepared, future = item
        self.discard(prepared)
        if not future.done():
            future.set_exception(problem)
            future.exception()  # the caller may be gone

    async def _append_group(self, batch: list[tuple[list[Prepared], asyncio.Future[Appended]]]) -> None:
        with self._planned() as write:
            await self._append(batch, write)

    async def _append(self, batch: list[tuple[list[Prepared], asyncio.Future[Appended]]], write: Write) -> None:
        names = [one.unique for prepared, _ in batch for one in prepared if one.once]
        done = await self._durably(self.index.delivered, names) if names else {}
        room = None
        if self.quota is not None:
            room = self.quota - (await self._count()).octets
        touched: dict[str, Mailbox] = {}
        groups: dict[tuple[str, bool], list[tuple[int, int, Prepared, bytes]]] = {}
        next_uids: dict[str, int] = {}
        operations: list[Operation] = []
        answers_to: list[tuple[asyncio.Future[Appended], Appended]] = []
        for prepared, future in batch:
            size = sum(one.size for one in prepared)
            if room is not None and not all(one.fresh for one in prepared):
                if size > room:
                    raise OverQuota
                room -= size
            mailbox = self._find(prepared[0].mailbox)
            await self._load(mailbox)
            touched[mailbox.id] = mailbox
            wanted = frozenset[str]().union(*(one.keywords for one in prepared))
            self._take_keywords(mailbox, wanted, write)
            given = []
            for one in prepared:
                if one.once and one.unique in done:
                    self.discard([one])
                    given.append(done[one.unique])
                    continue
                uid = next_uids.get(mailbox.id, mailbox.loaded.uid_next)
                next_uids[mailbox.id] = uid + 1
                base = compose(one.date, one.unique, self._with.host, one.size, one.size, mailbox.uid_validity, uid)
                flags = mailbox.flags_of(one.flags, one.keywords)
                fresh = one.fresh and not flags
                target = mailbox.fresh_target(base) if fresh else mailbox.target(base, flags)
                if one.draft is not None:
                    write.naming.drafts.append(one.draft)
                if len(prepared) > 1:
                    operations.append(Rename(one.temporary, target))
                    write.sync_first.append(one.temporary)
                else:
                    write.naming.renames.append((one.temporary, target))
                groups.setdefault((mailbox.id, fresh), []).append((uid, flags, one, base))
                if one.once:
                    done[one.unique] = uid
                    write.deliveries.append((one.unique, uid, int(self._with.clock())))
                given.append(uid)
            answers_to.append((future, Appended(mailbox.uid_validity, tuple(given))))
        if groups:
            modseqs = {key: mailbox.loaded.highest_modseq for key, mailbox in touched.items()}
            changes = []
            for (key, fresh), rows in groups.items():
                modseqs[key] += 1
                changes.append(MailboxFacts(key, [_added(modseqs[key], rows, fresh)]))
            write.entry = Entry(changes, operations)
            write.told_by_files = not operations and not write.deliveries
            await self._commit(write, list(touched.values()))
        for future, appended in answers_to:
            if not future.done():
                future.set_result(appended)

    def _take_keywords(self, mailbox: Mailbox, wanted: frozenset[str], write: Write) -> None:
        """Letters for keywords that the mailbox did not have."""
        if not wanted:
            return
        had = mailbox.loaded.keywords
        names = keywords.assign(had, wanted, mailbox.loaded.letters_in_use())
        if names is None and mailbox.keywords_unsure:
            names = had
        if names is not None:
            write.naming.keywords.append((self.maildir.folder_path(mailbox.folder), names))
            write.taken.append((mailbox, had))
            mailbox.loaded.keywords = names

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[Write]:
        """The turn, with a change in the making."""
        async with self._turn:
            with self._planned() as write:
                yield write

    @contextlib.contextmanager
    def _planned(self) -> Iterator[Write]:
        """A change in the making. When it fails, the keywords are those that were there before."""
        write = Write(Naming(self.maildir))
        try:
            yield write
        except BaseException:
            for mailbox, had in reversed(write.taken):
                mailbox.loaded.keywords = had
                # The file may have the others by now: it is written again before it is needed.
                mailbox.keywords_unsure = True
            raise
        for mailbox, _ in write.taken:
            mailbox.keywords_unsure = False

    # Changing -------------------------------------------------------------------------------------------------------

    async def store(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        how: How,
        flags: Flags,
        names: frozenset[str],
        unchanged_since: int | None,
        origin: object,
    ) -> Stored:
        """See Mailbox.store."""
        async with self._changing() as write:
            state = self._still(mailbox)
            if how is How.REMOVE:
                known = {name.lower() for name in state.keywords if name is not None}
                names = frozenset(name for name in names if name.lower() in known)
            self._take_keywords(mailbox, names, write)
            bits = mailbox.flags_of(flags, names)
            keep = ~int(SYSTEM | 0x3FFFFFF00) if how is How.REPLACE else -1
            modified, changed, values = [], [], []
            operations: list[Operation] = []
            for place in state.positions(list(uids)):
                if unchanged_since is not None and state.modseqs[place] > unchanged_since:
                    modified.append(state.uids[place])
                    continue
                old = state.flags[place]
                new = old | bits if how is How.ADD else old & ~bits if how is How.REMOVE else (old & keep) | bits
                if new != old:
                    changed.append(state.uids[place])
                    values.append(new)
                    operations.append(Rename(mailbox.path(place), mailbox.target(state.bases[place], new)))
            if not changed:
                if write.naming.keywords:
                    await self._durably(self._write_keywords, write.naming)
                return Stored((), tuple(modified), state.highest_modseq)
            modseq = state.highest_modseq + 1
            fact = Flagged(modseq, pack("I", changed), pack("Q", values))
            write.entry = Entry([MailboxFacts(mailbox.id, [fact])], operations)
            await self._commit(write, [mailbox], origin)
            await self._after_turn()
            return Stored(tuple(changed), tuple(modified), modseq)

    def _write_keywords(self, naming: Naming) -> None:
        for path, names in naming.keywords:
            keywords.write(self._with.disk, path, names)

    async def expunge(self, mailbox: Mailbox, uids: Sequence[int], force: bool) -> tuple[int, ...]:
        """See Mailbox.expunge."""
        async with self._turn:
            state = self._still(mailbox)
            deleted = int(Flags.DELETED)
            places = [place for place in state.positions(list(uids)) if force or state.flags[place] & deleted]
            if not places:
                return ()
            gone = [state.uids[place] for place in places]
            operations: list[Operation] = [Unlink(mailbox.path(place)) for place in places]
            fact = Gone(state.highest_modseq + 1, pack("I", gone))
            entry = Entry([MailboxFacts(mailbox.id, [fact])], operations)
            await self._commit(Write(Naming(self.maildir), entry), [mailbox])
            await self._after_turn()
            return tuple(gone)

    async def copy(self, mailbox: Mailbox, uids: Sequence[int], destination: str, *, move: bool) -> Copied:
        """See Mailbox.copy and Mailbox.move."""
        async with self._changing() as write:
            target = self._find(destination)
            await self._load(target)
            state = self._still(mailbox)
            places = state.positions(list(uids))
            if not places:
                return Copied(target.uid_validity, (), ())
            if self.quota is not None and not move:
                size = sum(state.sizes[place] for place in places)
                if (await self._count()).octets + size > self.quota:
                    raise OverQuota
            wanted = {name for flags in {state.flags[place] for place in places} for name in mailbox.keyword_names(flags)}
            self._take_keywords(target, frozenset(wanted), write)
            mapped: dict[int, int] = {}
            rows: list[tuple[int, int, Prepared, bytes]] = []
            operations: list[Operation] = []
            uid = target.loaded.uid_next
            for place in places:
                flags = state.flags[place]
                if flags not in mapped:
                    mapped[flags] = target.flags_of(Flags(flags), frozenset(mailbox.keyword_names(flags)))
                base = _renumbered(state.bases[place], target.uid_validity, uid)
                source, path = mailbox.path(place), target.target(base, mapped[flags])
                operations.append(Rename(source, path) if move else Link(source, path))
                one = Prepared(target.name, b"", state.sizes[place], state.dates[place], "", Flags(0), frozenset(), False)
                rows.append((uid, mapped[flags], one, base))
                uid += 1
            sources = [state.uids[place] for place in places]
            changes = [MailboxFacts(target.id, [_added(target.loaded.highest_modseq + 1, rows, False)])]
            if move:
                modseq = state.highest_modseq + (2 if mailbox is target else 1)
                changes.append(MailboxFacts(mailbox.id, [Gone(modseq, pack("I", sources))]))
            write.entry = Entry(changes, operations)
            await self._commit(write, [target] if target is mailbox else [target, mailbox])
            await self._after_turn()
            return Copied(target.uid_validity, tuple(sources), tuple(row[0] for row in rows))

    # Other programs -------------------------------------------------------------------------------------------------

    async def check(self, mailbox: Mailbox, *, always: bool = False) -> None:
        """Look at the folder if something may have changed it, and take over what did."""
        try:
            changed = await self.hop(self.maildir.changed, mailbox.folder)
        except (FileNotFoundError, NotADirectoryError):
            await self.refresh()
            return
        except OSError as problem:
            raise from_os_error(problem) from problem
        # What came within the same moment as our own work may be hidden by it.
        stale = mailbox.own_changes and time.monotonic() - mailbox.scanned_at > RESCAN_SECONDS
        if not always and not changed and not stale:
            return
        async with self._turn:
            if mailbox.deleted or mailbox.state is None:
                return
            await self._look(mailbox)

    async def _look(self, mailbox: Mailbox) -> None:
        """In the turn."""
        await self._settled()
        mailbox.own_changes = False
        now = time.monotonic()
        await self._take_over(mailbox)
        mailbox.scanned_at = now

    async def _take_over(self, mailbox: Mailbox) -> None:
        state = mailbox.loaded
        known = Known(
            folder=mailbox.folder,
            uid_validity=mailbox.uid_validity,
            uid_next=state.uid_next,
            uid_mark=mailbox.marks.uid_mark,
            uids=state.uids,
            flags=state.flags[:],
            bases=state.bases[:],
            fresh=frozenset(state.fresh),
            buried=frozenset(state.buried),
        )
        try:
            found = await self.hop(scan, self.maildir, known, self.new_unique, self._with.host)
        except OSError as problem:
            raise from_os_error(problem) from problem
        self.maildir.saw(mailbox.folder, found.times)
        if found.adoptions or found.flags or found.gone:
            state.keywords = await self.hop(keywords.read, self.maildir.folder_path(mailbox.folder))
            await self._adopt(mailbox, found.adoptions)
            facts: list[Fact] = []
            modseq = state.highest_modseq
            if found.flags:
                modseq += 1
                facts.append(Flagged(modseq, pack("I", found.flags), pack("Q", found.flags.values())))
            if found.gone:
                modseq += 1
                facts.append(Gone(modseq, pack("I", found.gone)))
            if facts:
                await self._commit(Write(Naming(self.maildir), Entry([MailboxFacts(mailbox.id, facts)])), [mailbox])
            log.info(
                "store.adopted", mailbox=mailbox.name, added=len(found.adoptions), flags=len(found.flags), gone=len(found.gone)
            )
        mailbox.folder_times = found.times
        # A change of the last moments could hide another one: look once more when it is over.
        changed = bool(found.adoptions or found.flags or found.gone)
        mailbox.own_changes = changed or self._with.clock() - max(found.times) / 1e9 < JUST_NOW
        await self._after_turn()

    async def _adopt(self, mailbox: Mailbox, adoptions: list[Adoption]) -> None:
        """In the turn: some thousand at a time, so that the event loop has others' turns between them."""
        if not adoptions:
            return
        state = mailbox.loaded
        commits = 2 * -(-len(adoptions) // ADOPTED_AT_ONCE)
        raised = mailbox.marks.raised(max(one.uid for one in adoptions) + 1, state.highest_modseq + commits)
        if raised is not None:
            await self._durably(marks.write, self._with.disk, self.maildir.folder_path(mailbox.folder), raised)
            mailbox.marks = raised
        adopted = await self._durably(rename_adopted, self.maildir, adoptions)
        for first in range(0, len(adopted), ADOPTED_AT_ONCE):
            some = adopted[first : first + ADOPTED_AT_ONCE]
            facts: list[Fact] = []
            for fresh in (False, True):
                rows = [one for one in some if one.fresh is fresh]
                if rows:
                    facts.append(
                        Added(
                            modseq=state.highest_modseq + len(facts) + 1,
                            uids=pack("I", [one.uid for one in rows]),
                            flags=pack("Q", [one.flags for one in rows]),
                            sizes=pack("Q", [one.size for one in rows]),
                            dates=pack("q", [one.date for one in rows]),
                            bases=b"\n".join([one.base for one in rows]),
                            fresh=fresh,
                        )
                    )
            await self._commit(Write(Naming(self.maildir), Entry([MailboxFacts(mailbox.id, facts)])), [mailbox])

    async def repair(self) -> list[str]:
        """Compare every mailbox with its folder, mend, and say what differed."""
        report = []
        await self.refresh()
        for name in sorted(self._mailboxes):
            mailbox = await self.open(name)
            try:
                before = (len(mailbox.uids), mailbox.highest_modseq)
                await self.check(mailbox, always=True)
                after = (len(mailbox.uids), mailbox.highest_modseq)
                report.append(f"{name}: {after[0]} messages" + ("" if before == after else f", had {before[0]}; mended"))
            finally:
                mailbox.release()
        return report

    # Kept answers ---------------------------------------------------------------------------------------------------

    def keep_answers(self, mailbox: str, kind: str, number: int) -> None:
        """Write a pack of answers to the index some time soon."""
        self._to_keep.add((mailbox, kind, number))
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while self._to_keep:
            mailbox, kind, number = self._to_keep.pop()
            pack = self.answers.get(mailbox, kind, number)
            if pack:
                with contextlib.suppress(sqlite3.Error, OSError):
                    await self.hop(self.index.cache, mailbox, kind, {number: answers.dump(pack)})


def _write_large(disk: Disk, draft: Draft) -> None:
    """By itself: others need not wait for it."""
    problem = write_drafts(disk, [draft])[0]
    if problem is not None:
        raise problem


def _by_name(folder: str) -> tuple[bool, str]:
    """The folder that a mailbox of ours would have comes before others that mean the same name."""
    name = from_folder(folder)
    try:
        return (name is None or to_folder(name) != folder, folder)
    except NameRefused:
        return (True, folder)


def _renumbered(base: bytes, uid_validity: int, uid: int) -> bytes:
    """The same message in another place: only M= changes."""
    return b"%b,M=%d.%d" % (base.rpartition(b",M=")[0], uid_validity, uid)


def _added(modseq: int, rows: list[tuple[int, int, Prepared, bytes]], fresh: bool) -> Added:
    return Added(
        modseq=modseq,
        uids=pack("I", [row[0] for row in rows]),
        flags=pack("Q", [row[1] for row in rows]),
        sizes=pack("Q", [row[2].size for row in rows]),
        dates=pack("q", [row[2].date for row in rows]),
        bases=b"\n".join([row[3] for row in rows]),
        fresh=fresh,
    )


def _from_sqlite(problem: Exception) -> StoreProblem:
    return NoSpace(str(problem)) if "full" in str(problem) else StoreFailed(str(problem))
