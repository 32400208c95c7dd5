"""How a change becomes durable: planned on the event loop, written in one hop, applied to the state and published."""

import contextlib
from functools import partial

from mailstack.store.drafts import write_drafts
from mailstack.store.errors import StoreProblem, from_os_error
from mailstack.store.mailbox.change import Write
from mailstack.store.mailbox.facts import Added, Entry, unpack
from mailstack.store.mailbox.journal import SNAPSHOT_ROWS, Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, give_names
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import FlagsChanged


class Committer:
    """All of it in the turn."""

    def __init__(
        self, surroundings: Surroundings, maildir: Maildir, journal: Journal, promises: Promises, snapshots: Snapshots
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._promises = promises
        self._snapshots = snapshots

    async def commit(self, write: Write, touched: list[Mailbox], origin: object = None) -> None:
        """Make it durable, apply it, tell the sessions."""
        new_marks = self._raise_marks(write, touched)
        if write.told_by_files and self._journal.index.marked and not self._journal.suspicious:
            try:
                await self._with.namings.do(write.naming)
            except OSError as problem:
                raise from_os_error(problem) from problem
            self._journal.commit_soon(write.entry)
        else:
            await self._journal.commit(write.entry, partial(self._write, write))
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
            self._promises.trail(self._journal.last_row, list(write.entry.operations))
        for mailbox, change in published:
            mailbox.publish(change)

    def _raise_marks(self, write: Write, touched: list[Mailbox]) -> list[tuple[Mailbox, Marks]]:
        """They are written with the names, before a UID or a MODSEQ above them is used."""
        new_marks: list[tuple[Mailbox, Marks]] = []
        for mailbox in touched:
            uid_next, modseq = mailbox.loaded.uid_next, mailbox.loaded.highest_modseq
            for changes in write.entry.changes:
                if changes.mailbox == mailbox.id:
                    for fact in changes.facts:
                        modseq = max(modseq, fact.modseq)
                        if isinstance(fact, Added):
                            uid_next = max(uid_next, max(unpack("I", fact.uids)) + 1)
            raised = mailbox.marks.raised(uid_next, modseq)
            if raised is not None:
                write.naming.marks.append((self._maildir.folder_path(mailbox.folder), raised))
                new_marks.append((mailbox, raised))
        return new_marks

    def _write(self, write: Write, entries: list[Entry], closed: int) -> int:
        """In a thread."""
        if write.sync_first:
            self._write_first(write)
        problem = give_names(self._with.disk, [write.naming])[0]
        if problem is not None:
            raise problem
        try:
            return self._journal.index.commit(entries, closed, write.deliveries)
        except BaseException:
            self._maildir.take_back(write.naming.renames)
            raise

    def _write_first(self, write: Write) -> None:
        """Files whose renames the commit promises are durable under the names that they have before it."""
        drafts, write.naming.drafts = write.naming.drafts, []
        problem = next((one for one in write_drafts(self._with.disk, drafts) if one is not None), None)
        if problem is not None:
            for draft in drafts:
                with contextlib.suppress(OSError):
                    self._with.disk.unlink(draft.path)
            raise problem
        self._maildir.sync_parents(write.sync_first)

    async def after_turn(self) -> None:
        """What is due after a change: a snapshot, or a wait for a disk that lags behind."""
        if self._journal.rows >= SNAPSHOT_ROWS:
            with contextlib.suppress(StoreProblem):
                await self._snapshots.write()
        if self._promises.many:
            await self._promises.settled()
