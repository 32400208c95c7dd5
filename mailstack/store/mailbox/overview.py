"""What is known of many mailboxes without opening them: from their heads, as long as nobody else changed their folders."""

from collections.abc import Iterable

from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.others import Others
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import Brief
from mailstack.store.mailbox.view import NEVER_SEEN

Times = tuple[int, int]


class Overview:
    """Five thousand mailboxes cost one hop to a thread, with two looks at the disk for each."""

    def __init__(
        self, surroundings: Surroundings, maildir: Maildir, journal: Journal, snapshots: Snapshots, others: Others
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._snapshots = snapshots
        self._others = others
        self._looked: dict[str, Times] = {}  # by mailbox id: the times of folders that are not in memory

    async def brief(self, mailboxes: Iterable[Mailbox]) -> dict[str, Brief]:
        """By name. Those of which nothing certain is known are opened; those that are gone meanwhile are left out."""
        found: dict[str, Brief] = {}
        for mailbox, times in (await self._times(mailboxes)).items():
            if times != self._known(mailbox):
                await self._open(mailbox)
            if mailbox.deleted:
                continue
            if mailbox.state is not None:
                found[mailbox.name] = mailbox.brief()
            else:
                head = self._journal.heads[mailbox.id]
                found[mailbox.name] = Brief(head.messages, head.uid_next, mailbox.uid_validity, head.highest_modseq)
        return found

    async def look(self, mailboxes: Iterable[Mailbox]) -> None:
        """See what other programs did since the last look; of what is found, watchers hear."""
        for mailbox, times in (await self._times(mailboxes)).items():
            known = self._known(mailbox)
            if mailbox.state is None and known is None:
                # From now on: what was there before, a client sees when it opens the mailbox.
                known = self._looked.setdefault(mailbox.id, times)
            if times != known or mailbox.own_changes:
                await self._open(mailbox)
                self._looked[mailbox.id] = times

    def _known(self, mailbox: Mailbox) -> Times | None:
        """The folder's times when all that was in it was known."""
        if mailbox.state is not None:
            return self._maildir.seen(mailbox.folder)
        head = self._journal.heads.get(mailbox.id)
        if head is None or head.folder_times == NEVER_SEEN or mailbox.id in self._journal.pending:
            return None
        return head.folder_times

    async def _times(self, mailboxes: Iterable[Mailbox]) -> dict[Mailbox, Times]:
        """Folders that are not there any more are left out."""
        wanted = [(mailbox, mailbox.folder) for mailbox in mailboxes if not mailbox.deleted]

        def blocking() -> list[Times | None]:
            found: list[Times | None] = []
            for _, folder in wanted:
                try:
                    found.append(self._maildir.times(folder))
                except OSError:
                    found.append(None)
            return found

        times = await self._with.hop(blocking)
        return {mailbox: one for (mailbox, _), one in zip(wanted, times, strict=True) if one is not None}

    async def _open(self, mailbox: Mailbox) -> None:
        async with self._journal.turn:
            if not mailbox.deleted:
                await self._snapshots.load(mailbox)
        if not mailbox.deleted:
            await self._others.check(mailbox)
