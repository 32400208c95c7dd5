"""An account's tree of mailboxes: listed, made, deleted, renamed, subscribed to."""

import contextlib
import os
from collections.abc import Callable

from mailstack.store.errors import MailboxExists, MailboxInUse, NameRefused, NoSuchMailbox, StoreProblem, TooManyMailboxes
from mailstack.store.mailbox import grants, subscriptions
from mailstack.store.mailbox.change import Write
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.facts import Entry, Operation, Rename
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR, normalise, to_folder
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.grants import Grants
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, Naming
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import (
    GrantsChanged,
    MailboxGone,
    MailboxInfo,
    MailboxMade,
    MailboxRemoved,
    MailboxRenamed,
    SpecialUse,
    SubscriptionsChanged,
)
from mailstack.store.mailbox.watching import Watchers

MOST = 10_000  # mailboxes of an account: a script may make one of what a stranger wrote, and each is a handful of files


class Tree:
    """Each call takes the turn."""

    def __init__(
        self,
        surroundings: Surroundings,
        maildir: Maildir,
        folders: Folders,
        journal: Journal,
        promises: Promises,
        committer: Committer,
        watchers: Watchers,
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._folders = folders
        self._journal = journal
        self._promises = promises
        self._committer = committer
        self._watchers = watchers

    def listing(self) -> list[MailboxInfo]:
        """All mailboxes, and the names above them that are none (not selectable), by name."""
        mailboxes = self._folders.mailboxes
        names = set(mailboxes)
        for name in tuple(names):
            parts = name.split(SEPARATOR)
            names.update(SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts)))
        ordered = sorted(names, key=lambda name: (name != INBOX, name))
        parents = {name.rpartition(SEPARATOR)[0] for name in names}
        return [
            MailboxInfo(
                name=name,
                selectable=name in mailboxes,
                subscribed=name in self._folders.subscribed,
                special_use=mailboxes[name].special_use if name in mailboxes else None,
                children=name in parents,
            )
            for name in ordered
        ]

    async def refresh(self) -> None:
        """Take over folders that other programs made, and let go of those they removed."""
        async with self._journal.turn:
            before = dict(self._folders.mailboxes)
            await self._with.hop(self._folders.refresh)
            for name, mailbox in before.items():
                if self._folders.mailboxes.get(name) is not mailbox:
                    self._forget(mailbox)
                    self._watchers.tree_changed(MailboxRemoved(name))
            for name, mailbox in self._folders.mailboxes.items():
                if before.get(name) is not mailbox:
                    self._watchers.tree_changed(MailboxMade(name))

    def _forget(self, mailbox: Mailbox) -> None:
        mailbox.deleted = True
        self._journal.heads.pop(mailbox.id, None)
        self._journal.pending.pop(mailbox.id, None)
        mailbox.publish(MailboxGone())

    async def create(self, name: str, special_use: SpecialUse | None = None, origin: object = None) -> Mailbox:
        """Make a mailbox; the names above it come into being as far as they are needed to show it."""
        async with self._journal.turn:
            name = normalise(name)
            if name in self._folders.mailboxes:
                raise MailboxExists(name)
            to_folder(name)
            if len(self._folders.mailboxes) >= MOST:
                raise TooManyMailboxes(name)
            await self._finish()
            mailbox = await self._journal.durably(self._folders.make, name, special_use)
            self._watchers.tree_changed(MailboxMade(name, origin))
            return mailbox

    async def _finish(self) -> None:
        """In the turn, before a name is given to another folder: no promise may be kept there once more after a crash."""
        await self._promises.settled()
        await self._journal.durably(self._journal.index.finish, self._promises.closed_row)

    async def delete(self, name: str, origin: object = None) -> None:
        """Remove a mailbox and its messages."""
        async with self._journal.turn:
            mailbox = self._folders.find(name)
            if mailbox.name == INBOX:
                raise MailboxInUse(name)
            await self._finish()
            aside = await self._journal.durably(self._folders.put_aside, mailbox)
            del self._folders.mailboxes[mailbox.name]
            self._forget(mailbox)
            self._watchers.tree_changed(MailboxRemoved(mailbox.name, origin))
            await self._with.hop(self._folders.bury, aside)
            # What the index still has of it is nobody's: the id never comes again.
            with contextlib.suppress(StoreProblem):
                await self._journal.durably(self._journal.index.forget, mailbox.id)

    async def rename(self, old: str, new: str, origin: object = None) -> None:
        """Rename a mailbox, which is not INBOX, with all below it. The names are normalised."""
        async with self._journal.turn:
            moving = self._moving(old, new)
            await self._finish()
            places = [self._maildir.folder_path(to_folder(target)) for target in moving.values()]
            if await self._with.hop(lambda: any(os.path.lexists(path) for path in places)):
                # A folder of another program's that is no mailbox.
                raise MailboxExists(new)
            mailboxes = self._folders.mailboxes
            operations: list[Operation] = [
                Rename(os.fsencode(mailboxes[name].folder), os.fsencode(to_folder(target))) for name, target in moving.items()
            ]
            await self._committer.commit(Write(Naming(self._maildir), Entry([], operations)), [])
            await self._promises.settled()
            for name, target in moving.items():
                mailbox = mailboxes.pop(name)
                mailbox.moved(target, to_folder(target))
                mailboxes[target] = mailbox
            for name, target in moving.items():
                self._watchers.tree_changed(MailboxRenamed(name, target, origin))
            with contextlib.suppress(StoreProblem):
                await self._finish()

    def _moving(self, old: str, new: str) -> dict[str, str]:
        """The names that change, with what they change to."""
        names = self._folders.mailboxes
        moving = {name: new + name[len(old) :] for name in names if name == old or name.startswith(old + SEPARATOR)}
        if not moving:
            raise NoSuchMailbox(old)
        if new == old or new.startswith(old + SEPARATOR):
            raise NameRefused("a mailbox can't go below itself")
        if any(target in names for target in moving.values()):
            raise MailboxExists(new)
        return moving

    async def share(self, name: str, change: Callable[[Grants], Grants]) -> None:
        """`change` makes the new grants of the old."""
        async with self._journal.turn:
            mailbox = self._folders.find(name)
            changed = change(mailbox.grants)
            if changed == mailbox.grants:
                return
            path = self._maildir.folder_path(mailbox.folder)
            await self._journal.durably(grants.write, self._with.disk, path, mailbox.id, changed)
            mailbox.grants = changed
            mailbox.publish(GrantsChanged())

    async def subscribe(self, change: Callable[[frozenset[str]], frozenset[str]], origin: object = None) -> None:
        """`change` makes the new names of the old."""
        async with self._journal.turn:
            names = change(self._folders.subscribed)
            await self._journal.durably(subscriptions.write, self._with.disk, self._maildir.root, names)
            changed = tuple(sorted(names ^ self._folders.subscribed))
            self._folders.subscribed = names
            if changed:
                self._watchers.tree_changed(SubscriptionsChanged(changed, origin))
