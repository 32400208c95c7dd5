"""What other programs do in an account's folders: seen, taken over, told to the sessions."""

import time
from collections.abc import Awaitable, Callable

from mailstack.log import get_logger
from mailstack.store.errors import from_os_error
from mailstack.store.mailbox import keywords, marks
from mailstack.store.mailbox.adopting import ADOPTED_AT_ONCE, Adoption, facts_of, forget, rename_adopted
from mailstack.store.mailbox.change import Write
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.facts import Entry, Fact, Flagged, Gone, MailboxFacts, Rebased, pack
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, Naming
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.scan import Found, Known, scan
from mailstack.store.mailbox.surroundings import Surroundings

log = get_logger()

RESCAN_SECONDS = 30.0
JUST_NOW = 2.0


class Others:
    """`refresh` looks for whole folders that came or went."""

    def __init__(
        self,
        surroundings: Surroundings,
        maildir: Maildir,
        journal: Journal,
        promises: Promises,
        committer: Committer,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._promises = promises
        self._committer = committer
        self._refresh = refresh

    async def check(self, mailbox: Mailbox, *, always: bool = False) -> None:
        """Look at the folder if something may have changed it, and take over what did."""
        try:
            changed = await self._with.hop(self._maildir.changed, mailbox.folder)
        except (FileNotFoundError, NotADirectoryError):
            await self._refresh()
            return
        except OSError as problem:
            raise from_os_error(problem) from problem
        # What came within the same moment as our own work may be hidden by it.
        stale = mailbox.own_changes and time.monotonic() - mailbox.scanned_at > RESCAN_SECONDS
        if not always and not changed and not stale:
            return
        async with self._journal.turn:
            if mailbox.deleted or mailbox.state is None:
                return
            await self.look(mailbox)

    async def look(self, mailbox: Mailbox) -> None:
        """In the turn."""
        await self._promises.settled()
        mailbox.own_changes = False
        now = time.monotonic()
        await self._take_over(mailbox)
        mailbox.scanned_at = now

    async def _take_over(self, mailbox: Mailbox) -> None:
        found = await self._scan(mailbox)
        self._maildir.saw(mailbox.folder, found.times)
        added = len(found.adoptions)
        changed = bool(added or found.bases or found.flags or found.gone)
        if changed:
            mailbox.loaded.keywords = await self._with.hop(keywords.read, self._maildir.folder_path(mailbox.folder))
            await self._adopt(mailbox, found.adoptions)
            await self._take_changes(mailbox, found)
            log.info("store.adopted", mailbox=mailbox.name, added=added, flags=len(found.flags), gone=len(found.gone))
        mailbox.folder_times = found.times
        # A change of the last moments could hide another one: look once more when it is over.
        mailbox.own_changes = changed or self._with.clock() - max(found.times) / 1e9 < JUST_NOW
        await self._committer.after_turn()

    async def _scan(self, mailbox: Mailbox) -> Found:
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
            buried=frozenset(state.tombstones.uids),
            complete=mailbox.complete,
        )
        try:
            return await self._with.hop(scan, self._maildir, known, self._with.new_unique, self._with.host)
        except OSError as problem:
            raise from_os_error(problem) from problem

    async def _take_changes(self, mailbox: Mailbox, found: Found) -> None:
        facts: list[Fact] = []
        modseq = mailbox.highest_modseq
        if found.bases:
            facts.append(Rebased(modseq, pack("I", found.bases), b"\n".join(found.bases.values())))
        if found.flags:
            modseq += 1
            facts.append(Flagged(modseq, pack("I", found.flags), pack("Q", found.flags.values())))
        if found.gone:
            modseq += 1
            facts.append(Gone(modseq, pack("I", found.gone)))
        if facts:
            await self._commit(mailbox, facts)

    async def _adopt(self, mailbox: Mailbox, adoptions: list[Adoption]) -> None:
        """In ascending order of UIDs."""
        if not adoptions:
            return
        commits = 4 * -(-len(adoptions) // ADOPTED_AT_ONCE)
        raised = mailbox.marks.raised(adoptions[-1].uid + 1, mailbox.highest_modseq + commits)
        if raised is not None:
            path = self._maildir.folder_path(mailbox.folder)
            await self._journal.durably(marks.write, self._with.disk, path, raised)
            mailbox.marks = raised
        adopted = await self._journal.durably(rename_adopted, self._maildir, adoptions)
        for facts in await self._with.hop(facts_of, adopted, mailbox.highest_modseq, int(self._with.clock())):
            await self._commit(mailbox, facts)
        await self._with.hop(forget, adoptions, adopted)

    async def _commit(self, mailbox: Mailbox, facts: list[Fact]) -> None:
        await self._committer.commit(Write(Naming(self._maildir), Entry([MailboxFacts(mailbox.id, facts)])), [mailbox])
