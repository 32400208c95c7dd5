"""What an account holds, and what may still come."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailstack.store.errors import OverQuota
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.others import Others
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.values import Usage
from mailstack.store.mailbox.view import NEVER_SEEN


@dataclass(frozen=True, slots=True)
class Room:
    """What is left below the quotas; None where there is none."""

    octets: int | None
    messages: int | None

    def without(self, octets: int, messages: int) -> "Room":
        """What is left when that came in. Raises OverQuota; what takes no room is let in where none is left."""
        for left, wanted in ((self.octets, octets), (self.messages, messages)):
            if left is not None and wanted > 0 and wanted > left:
                raise OverQuota
        return Room(
            None if self.octets is None else self.octets - octets,
            None if self.messages is None else self.messages - messages,
        )


class Space:
    """`quota` in octets, `message_quota` in messages; None without one."""

    def __init__(
        self, quota: int | None, journal: Journal, snapshots: Snapshots, others: Others, mailboxes: Mapping[str, Mailbox]
    ) -> None:
        self.quota = quota
        self.message_quota: int | None = None
        self._journal = journal
        self._snapshots = snapshots
        self._others = others
        self._mailboxes = mailboxes

    async def usage(self) -> Usage:
        """Octets and messages of all mailboxes."""
        if all(self._counted(mailbox) for mailbox in self._mailboxes.values()):
            return self._sum()
        async with self._journal.turn:
            return await self._count()

    async def left(self) -> Room:
        """In the turn."""
        if self.quota is None and self.message_quota is None:
            return Room(None, None)
        used = await self._count()
        return Room(
            None if self.quota is None else self.quota - used.octets,
            None if self.message_quota is None else self.message_quota - used.messages,
        )

    def _counted(self, mailbox: Mailbox) -> bool:
        """Whether what a mailbox holds is known without a look at the disk."""
        if mailbox.state is not None:
            return mailbox.complete
        head = self._journal.heads.get(mailbox.id)
        return head is not None and head.folder_times != NEVER_SEEN and mailbox.id not in self._journal.pending

    async def _count(self) -> Usage:
        for mailbox in list(self._mailboxes.values()):
            if not self._counted(mailbox):
                # After a crash, or without an index, only the folder knows.
                await self._snapshots.load(mailbox)
                await self._others.look(mailbox)
        return self._sum()

    def _sum(self) -> Usage:
        octets = messages = 0
        for mailbox in self._mailboxes.values():
            if mailbox.state is not None:
                octets += mailbox.state.octets
                messages += len(mailbox.state.uids)
            else:
                octets += self._journal.heads[mailbox.id].octets
                messages += self._journal.heads[mailbox.id].messages
        return Usage(octets, messages)
