"""One message in another's stead: what comes and what goes is one commit (RFC 8508)."""

from mailstack.store.errors import MessageGone, NoSuchMailbox, StoreProblem
from mailstack.store.mailbox.appending import Appender
from mailstack.store.mailbox.change import Write, planned
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.facts import Entry, Gone, MailboxFacts, Unlink, pack
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.group import Group
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.space import Space
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import Appended, NewMessage, Prepared


class Replacer:
    """One account's."""

    def __init__(
        self,
        surroundings: Surroundings,
        maildir: Maildir,
        folders: Folders,
        journal: Journal,
        snapshots: Snapshots,
        committer: Committer,
        space: Space,
        appender: Appender,
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._folders = folders
        self._journal = journal
        self._snapshots = snapshots
        self._committer = committer
        self._space = space
        self._appender = appender

    async def replace(self, mailbox: Mailbox, uid: int, destination: str, message: NewMessage) -> Appended:
        """See Mailbox.replace."""
        prepared = await self._appender.prepare(destination, message)
        async with self._journal.turn:
            with planned(self._maildir) as write:
                try:
                    touched, appended = await self._plan(write, mailbox, uid, prepared)
                    await self._committer.commit(write, touched)
                except StoreProblem:
                    # A row that a failing disk did not take back, and that a start carries out, must find the new file before
                    # it removes the old one: then it stays in tmp/, and goes after 36 hours as all that is nobody's.
                    if not self._journal.suspicious:
                        self._appender.discard([prepared])
                    raise
            await self._committer.after_turn()
        return appended

    async def _plan(self, write: Write, mailbox: Mailbox, uid: int, prepared: Prepared) -> tuple[list[Mailbox], Appended]:
        """The rename that gives the new message its name comes before the end of the old one, in one row of the journal."""
        target = self._folders.find(prepared.mailbox)
        await self._snapshots.load(target)
        room = await self._space.left()
        if mailbox.deleted:
            raise NoSuchMailbox(mailbox.name)
        state = mailbox.loaded
        place = state.position(uid)
        if place is None:
            raise MessageGone
        room.without(prepared.size - state.sizes[place], 0)
        group = Group(write, self._with.host, int(self._with.clock()))
        group.into(target, [prepared])
        new = group.add(target, prepared, alone=False)
        group.complete()
        modseq = state.highest_modseq + (2 if mailbox is target else 1)
        write.entry = Entry(
            [*write.entry.changes, MailboxFacts(mailbox.id, [Gone(modseq, pack("I", [uid]))])],
            [*write.entry.operations, Unlink(mailbox.path(place))],
        )
        return [target] if target is mailbox else [target, mailbox], Appended(target.uid_validity, (new,))
