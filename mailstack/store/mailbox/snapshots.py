"""Mailboxes into memory, and what changed in them back into the index."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping

from mailstack.store.errors import from_os_error, from_sqlite_error
from mailstack.store.mailbox.facts import Damaged
from mailstack.store.mailbox.index import damaged
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.loading import load_state, snapshot_of
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.view import NEVER_SEEN

PATIENCE = 5.0
DELIVERIES_KEPT = 14 * 86400


class Snapshots:
    """All of it in the turn."""

    def __init__(
        self,
        surroundings: Surroundings,
        maildir: Maildir,
        journal: Journal,
        promises: Promises,
        mailboxes: Mapping[str, Mailbox],
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._promises = promises
        self._mailboxes = mailboxes

    async def load(self, mailbox: Mailbox) -> None:
        """Unless it is loaded already."""
        if mailbox.state is not None:
            return
        journal = self._journal
        head = journal.heads.get(mailbox.id)
        pending = journal.pending.get(mailbox.id, [])
        path = self._maildir.folder_path(mailbox.folder)
        try:
            mailbox.state = await self._with.hop(load_state, journal.index, mailbox.marks, head, pending, path)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except (sqlite3.Error, Damaged) as problem:
            if not damaged(problem):
                raise from_sqlite_error(problem) from problem
            await journal.start_anew(problem)
            head, pending = None, []
            mailbox.state = await self._with.hop(load_state, journal.index, mailbox.marks, head, pending, path)
        journal.pending.pop(mailbox.id, None)
        mailbox.folder_times = head.folder_times if head is not None and not pending else NEVER_SEEN
        self._maildir.saw(mailbox.folder, mailbox.folder_times)
        if mailbox.folder_times != NEVER_SEEN and head is not None and head.unsure:
            mailbox.own_changes, mailbox.scanned_at = True, time.monotonic()
        mailbox.recent_from = mailbox.state.uid_next

    async def write(self, final: bool = False) -> None:
        """Write what changed since the last one, and empty the journal."""
        journal = self._journal
        if journal.suspicious or (journal.rows == 0 and not final):
            return
        if final:
            await self._promises.settled()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._promises.settled()
        except TimeoutError:
            return  # the disk fails: later
        for mailbox in self._mailboxes.values():
            if mailbox.id in journal.pending:
                await self.load(mailbox)
        snapshots = []
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                # With our own work, as far as it was all that was done: then a start needs no look at the folder.
                times = self._maildir.seen(mailbox.folder) if mailbox.complete else None
                times = times or NEVER_SEEN
                snapshot = snapshot_of(mailbox.state, times, unsure=mailbox.own_changes)
                if snapshot.segments or snapshot.head != journal.heads.get(mailbox.id):
                    snapshots.append((mailbox.state, snapshot))
        forget = int(self._with.clock()) - DELIVERIES_KEPT
        await journal.durably(journal.index.snapshot, [snapshot for _, snapshot in snapshots], journal.last_row, forget)
        for state, snapshot in snapshots:
            journal.heads[snapshot.mailbox] = snapshot.head
            state.dirty.difference_update(snapshot.segments)
        journal.snapshot_written()
