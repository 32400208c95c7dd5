"""Messages that come in together: their UIDs, their names, and the facts that tell of them."""

from mailstack.store.mailbox.change import Arrival, Write, added
from mailstack.store.mailbox.facts import Entry, MailboxFacts, Operation, Rename
from mailstack.store.mailbox.filename import compose
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.space import Room
from mailstack.store.mailbox.values import Prepared


class Group:
    """One message alone is renamed before the commit; the renames of several are promised by it."""

    def __init__(self, write: Write, host: str, now: int) -> None:
        self.touched: dict[str, Mailbox] = {}
        self._write = write
        self._host = host
        self._now = now
        self._arrivals: dict[tuple[str, bool], list[Arrival]] = {}
        self._next_uids: dict[str, int] = {}
        self._operations: list[Operation] = []

    def into(self, mailbox: Mailbox, prepared: list[Prepared]) -> None:
        """Before add()."""
        self.touched[mailbox.id] = mailbox
        self._write.take_keywords(mailbox, frozenset[str]().union(*(one.keywords for one in prepared)))

    def add(self, mailbox: Mailbox, one: Prepared, *, alone: bool) -> int:
        """The UID that it gets."""
        write = self._write
        uid = self._next_uids.get(mailbox.id, mailbox.loaded.uid_next)
        self._next_uids[mailbox.id] = uid + 1
        base = compose(one.date, one.unique, self._host, one.size, one.size, mailbox.uid_validity, uid)
        flags = mailbox.flags_of(one.flags, one.keywords)
        fresh = one.fresh and not flags
        target = mailbox.fresh_target(base) if fresh else mailbox.target(base, flags)
        if one.draft is not None:
            write.naming.drafts.append(one.draft)
        if alone:
            write.naming.renames.append((one.temporary, target))
        else:
            self._operations.append(Rename(one.temporary, target))
            write.sync_first.append(one.temporary)
        self._arrivals.setdefault((mailbox.id, fresh), []).append(Arrival(uid, flags, one.size, one.date, base))
        if one.once:
            write.deliveries.append((one.unique, uid, self._now))
        return uid

    def complete(self) -> bool:
        """Say in the change what came; False if nothing did."""
        if not self._arrivals:
            return False
        write = self._write
        modseqs = {key: mailbox.loaded.highest_modseq for key, mailbox in self.touched.items()}
        changes = []
        for (key, fresh), arrivals in self._arrivals.items():
            modseqs[key] += 1
            changes.append(MailboxFacts(key, [added(modseqs[key], arrivals, fresh=fresh, saved=self._now)]))
        write.entry = Entry(changes, self._operations)
        write.told_by_files = not self._operations and not write.deliveries
        return True


def take_room(room: Room, prepared: list[Prepared]) -> Room:
    """What is left of it. Deliveries are let in over quota. Raises OverQuota."""
    if all(one.fresh for one in prepared):
        return room
    return room.without(sum(one.size for one in prepared), len(prepared))
