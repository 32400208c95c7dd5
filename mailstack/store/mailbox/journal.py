"""An account's index in use: the turn in which it changes, its rows, and what becomes of it when the disk fails."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem, from_os_error, from_sqlite_error
from mailstack.store.mailbox.facts import Entry, Fact, Head
from mailstack.store.mailbox.index import IN_USE, Index, JournalRow, damaged
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.state import SEGMENT
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import AccountFolder

P = ParamSpec("P")
R = TypeVar("R")
log = get_logger()

SEAL = "index-seal"
SNAPSHOT_ROWS = 300
ROWS_SECONDS = 1.0  # how long rows that the files repeat may wait


class Journal:
    """Who changes the account holds `turn`: one at a time, in the order of the calls."""

    def __init__(
        self, folder: AccountFolder, surroundings: Surroundings, promises: Promises, mailboxes: Mapping[str, Mailbox]
    ) -> None:
        self._folder = folder
        self._with = surroundings
        self._promises = promises
        self._mailboxes = mailboxes
        self.index: Index
        self.turn = asyncio.Lock()
        self.heads: dict[str, Head] = {}
        self.pending: dict[str, list[Fact]] = {}  # by mailbox id: what came after its head, until it is loaded
        self.rows = 0  # since the last snapshot
        self.last_row = 0
        self.suspicious = False  # after a failure the index may hold rows that were never answered
        self._unwritten: list[Entry] = []  # rows that follow soon: the files say the same
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # Start and stop: blocking code ----------------------------------------------------------------------------------

    def open(self) -> None:
        self.index = Index(self._folder.index, self._with.disk)

    def read(self) -> list[JournalRow]:
        """At a start: what it says, and its rows, whose open promises are to be kept before finish()."""
        self.heads = self.index.heads()
        self.last_row = self.index.last()
        self._promises.closed_row = self.last_row
        rows = self.index.journal()
        self.rows = len(rows)
        for row in rows:
            for changes in row.entry.changes:
                self.pending.setdefault(changes.mailbox, []).extend(changes.facts)
        return rows

    def finish(self) -> None:
        """At a start: all promises are kept."""
        self.index.finish(self.last_row)

    @property
    def incomplete(self) -> bool:
        """At a start: after a crash, or in an older index that was put back, rows may be missing whose files are there."""
        return self.index.unclean or self.index.seal != self._read_seal()

    def close(self, clean: bool) -> None:
        """The same number in the index and beside it: an older index that is put back is known by its own."""
        seal = None
        if clean and self.index.marked:
            with contextlib.suppress(OSError):
                number = self._with.randomness.randrange(1, IN_USE)
                self._with.disk.replace_file(self._folder.path / SEAL, f"{number}\n".encode())
                seal = number
        self.index.close(seal)

    def _read_seal(self) -> int:
        try:
            return int((self._folder.path / SEAL).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    # Writing, in the turn -------------------------------------------------------------------------------------------

    async def durably(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """A hop that writes. After a failure, the index is opened anew and rows that were not answered are taken back."""
        try:
            if self.suspicious:
                await self._with.hop(self._recover)
                self.suspicious = False
            return await self._with.hop(function, *arguments, **named)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except sqlite3.Error as problem:
            self.suspicious = True
            trouble: sqlite3.Error = problem
            try:
                await self._with.hop(self._recover)
                self.suspicious = False
            except OSError:
                pass
            except sqlite3.Error as found:
                trouble = found
            if damaged(problem) or damaged(trouble):
                await self.start_anew(problem)
            raise from_sqlite_error(problem) from problem

    def _recover(self) -> None:
        self.index.reopen()
        if self.index.last() > self.last_row:
            self.index.drop_after(self.last_row)

    async def start_anew(self, problem: Exception) -> None:
        """The index is damaged. What is loaded is written anew, the rest is found in the folders."""
        log.error("store.index_damaged", index=str(self._folder.index), problem=str(problem))
        try:
            await self._with.hop(self.index.start_anew, self.last_row)
        except OSError as trouble:
            raise from_os_error(trouble) from trouble
        except sqlite3.Error as trouble:
            raise from_sqlite_error(trouble) from trouble
        self.heads.clear()
        self.pending.clear()
        self._unwritten.clear()
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                mailbox.state.dirty.update(uid // SEGMENT for uid in mailbox.state.uids)
        self.rows = SNAPSHOT_ROWS
        self.suspicious = False

    # Rows -----------------------------------------------------------------------------------------------------------

    async def commit(self, entry: Entry, write: Callable[[list[Entry], int], int]) -> None:
        """A row, with those that wait. `write` takes them and the last kept promise to the index, in a thread."""
        self.last_row = await self.durably(write, [*self._unwritten, entry], self._promises.closed_row)
        self._unwritten.clear()
        self.rows += 1

    def commit_soon(self, entry: Entry) -> None:
        """A row that only spares a start after a crash the look at the folders."""
        self._unwritten.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ROWS_SECONDS, self._begin)
        self.rows += 1

    def snapshot_written(self) -> None:
        """It says all that the rows said."""
        self.rows = 0
        self._unwritten.clear()

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        async with self.turn:
            if self._unwritten:
                with contextlib.suppress(StoreProblem):
                    self.last_row = await self.durably(
                        self.index.commit, list(self._unwritten), self._promises.closed_row, flush=False
                    )
                    self._unwritten.clear()

    async def rest(self) -> None:
        """Before close(), and not in the turn: no row is written by the clock from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._task
