"""A mail account: the async door of its Maildir and index. One turn at a time changes it, in the order of the calls.

A change is planned on the event loop, made durable in one hop to a thread, applied to the state and published.
File operations of STORE, COPY, MOVE and EXPUNGE are promised by the commit and trail behind it in order.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

from mailstack.store.errors import NoSuchMailbox, StoreProblem, from_os_error, from_sqlite_error
from mailstack.store.mailbox.annotating import Annotator
from mailstack.store.mailbox.answers import AccountAnswers
from mailstack.store.mailbox.appending import Appender
from mailstack.store.mailbox.changing import Changer
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.foldername import INBOX, normalise
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.freezing import Frozen, frozen
from mailstack.store.mailbox.grants import Grant, Grants
from mailstack.store.mailbox.graves import Graves
from mailstack.store.mailbox.index import Index
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.keeping import AnswerKeeper
from mailstack.store.mailbox.looks import Looks
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.opening import Opening
from mailstack.store.mailbox.others import Others
from mailstack.store.mailbox.overview import Overview
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.reading import Reader
from mailstack.store.mailbox.replacing import Replacer
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.space import Room, Space
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.tree import Tree
from mailstack.store.mailbox.urlkeys import UrlKeys
from mailstack.store.mailbox.values import (
    AccountFolder,
    Appended,
    Brief,
    MailboxInfo,
    MailboxStatus,
    NewMessage,
    Prepared,
    SpecialUse,
    Usage,
)
from mailstack.store.mailbox.watching import Watchers

MANY = 5000  # messages, from which on a folder's listing takes longer than a client should wait
P = ParamSpec("P")
R = TypeVar("R")


class Account:
    """Made by Mailboxes.account()."""

    def __init__(self, folder: AccountFolder, surroundings: Surroundings) -> None:
        self.folder = folder
        self.last_used = time.monotonic()
        self._with = surroundings
        self._holders = 0
        self._mailboxes: dict[str, Mailbox] = {}
        self.watchers = Watchers()
        mailboxes = self._mailboxes
        maildir = self.maildir = Maildir(folder.path / "Maildir", surroundings.disk)
        promises = self._promises = Promises(surroundings, maildir)
        journal = self._journal = Journal(folder, surroundings, promises, mailboxes)
        snapshots = self._snapshots = Snapshots(surroundings, maildir, journal, promises, mailboxes)
        committer = Committer(surroundings, maildir, journal, promises, snapshots)
        graves = maildir.graves = Graves(folder.path, surroundings.disk, surroundings.keep_deleted, surroundings.clock)
        folders = Folders(folder.path, surroundings, maildir, journal, mailboxes, partial(Mailbox, self), graves)
        self._folders = folders
        self._tree = Tree(surroundings, maildir, folders, journal, promises, committer, self.watchers)
        self._annotator = Annotator(folder.path, surroundings, maildir, folders, journal, self.watchers)
        self.url_keys = UrlKeys(surroundings, maildir, folders, journal)
        self._others = Others(surroundings, maildir, journal, promises, committer, self._tree.refresh)
        self._looks = Looks(self._others)
        self._overview = Overview(surroundings, maildir, journal, snapshots, self._others)
        space = self._space = Space(folder.quota, journal, snapshots, self._others, mailboxes)
        self._appender = Appender(surroundings, maildir, folders, journal, snapshots, committer, space)
        self.changer = Changer(surroundings, maildir, folders, journal, snapshots, committer, space)
        self.replacer = Replacer(surroundings, maildir, folders, journal, snapshots, committer, space, self._appender)
        self.reader = Reader(surroundings, promises)
        self.answers = AccountAnswers(surroundings.answers, str(folder.path))
        self.searching = surroundings.searching
        self.keeper = AnswerKeeper(surroundings, journal, self.answers)

    @property
    def index(self) -> Index:
        return self._journal.index

    @property
    def quota(self) -> int | None:
        """Octets."""
        return self._space.quota

    @quota.setter
    def quota(self, octets: int | None) -> None:
        self._space.quota = octets

    @property
    def message_quota(self) -> int | None:
        return self._space.message_quota

    @message_quota.setter
    def message_quota(self, messages: int | None) -> None:
        self._space.message_quota = messages

    async def hop(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run blocking work in a thread."""
        return await self._with.hop(function, *arguments, **named)

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
            or any(mailbox.users or mailbox.text_pending for mailbox in self._mailboxes.values())
            or self._journal.turn.locked()
            or self._appender.busy
            or self._promises.busy
            or self._looks.busy
            or self.keeper.busy
        )

    # Start and stop -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the index, finish what was promised, and list the folders."""
        opening = Opening(self.folder, self._with, self.maildir, self._journal, self._folders)
        try:
            await self.hop(opening.run)
        except OSError as problem:
            raise from_os_error(problem) from problem
        except sqlite3.Error as problem:
            raise from_sqlite_error(problem) from problem

    async def settled(self) -> None:
        """Wait until all promised file operations are done."""
        await self._promises.settled()

    async def close(self) -> None:
        """Finish what is promised, write snapshots."""
        await self._journal.rest()
        await self._looks.settled()
        async with self._journal.turn:
            await self.settled()
            await self.keeper.settled()
            clean = False
            with contextlib.suppress(StoreProblem):
                await self._snapshots.write(final=True)
                clean = not self._journal.suspicious
            await self.hop(self._journal.close, clean)

    # Mailboxes ------------------------------------------------------------------------------------------------------

    async def listing(self) -> list[MailboxInfo]:
        """All mailboxes, and the names above them that are none (not selectable), by name."""
        self.used()
        return self._tree.listing()

    def subscriptions(self) -> frozenset[str]:
        """Subscribed names, whether they exist or not."""
        return self._folders.subscribed

    def subscribed(self, name: str) -> bool:
        return name in self._folders.subscribed

    def names(self) -> list[str]:
        """Of all mailboxes, as they come."""
        return list(self._mailboxes)

    def mailboxes(self) -> list[Mailbox]:
        """All of them, opened or not."""
        return list(self._mailboxes.values())

    def look(self, name: str) -> Mailbox:
        """What is known of a mailbox that is not opened. Raises NoSuchMailbox."""
        return self._folders.find(name)

    def above(self, name: str) -> Mailbox | None:
        """The nearest mailbox above a name."""
        return self._folders.above(normalise(name))

    def grants(self, name: str) -> Grants:
        """To whom else a mailbox is open."""
        return self._folders.find(name).grants

    def all_grants(self) -> list[Grant]:
        """Of every mailbox."""
        return [grant for mailbox in self._mailboxes.values() for grant in mailbox.grants]

    async def share(self, name: str, change: Callable[[Grants], Grants]) -> None:
        """Change to whom else a mailbox is open: `change` makes the new grants of the old. Durable when it returns."""
        await self._tree.share(name, change)

    async def refresh(self) -> None:
        """Take over folders that other programs made, and let go of those they removed."""
        await self._tree.refresh()

    async def create(self, name: str, special_use: SpecialUse | None = None, origin: object = None) -> Mailbox:
        """Make a mailbox; the names above it come into being as far as they are needed to show it."""
        return await self._tree.create(name, special_use, origin)

    async def delete(self, name: str, origin: object = None) -> None:
        """Remove a mailbox and its messages."""
        await self._tree.delete(name, origin)

    async def rename(self, old: str, new: str, origin: object = None) -> None:
        """Rename a mailbox with all below it; INBOX gives its messages away and stays (RFC 9051 6.3.6)."""
        old, new = normalise(old), normalise(new)
        if old == INBOX:
            await self._give_away_inbox(new, origin)
        else:
            await self._tree.rename(old, new, origin)

    async def _give_away_inbox(self, new: str, origin: object) -> None:
        await self.create(new, origin=origin)
        inbox = await self.open(INBOX)
        try:
            await inbox.move(list(inbox.uids), new)
        finally:
            inbox.release()
        # RFC 5464 4.1: the annotations are copied, and INBOX keeps them.
        copied = (await self.annotations([INBOX]))[0]
        if copied:
            await self.annotate(new, copied, origin)

    async def annotations(self, names: Sequence[str]) -> list[dict[str, bytes]]:
        """What clients wrote beside mailboxes (RFC 5464); the account's own have the empty name."""
        self.used()
        return await self._annotator.read(names)

    async def annotation(self, name: str, entry: str) -> bytes | None:
        """One of them (its name in lower case), remembered once it was read. Raises NoSuchMailbox, StoreProblem."""
        self.used()
        return await self._annotator.value(name, entry)

    async def annotate(self, name: str, changes: Mapping[str, bytes | None], origin: object = None) -> None:
        """Change annotations, all or none; None removes one. Durable when it returns."""
        await self._annotator.change(name, changes, origin)

    async def use(self, name: str, special_use: SpecialUse | None) -> None:
        """Give a mailbox a special use, or take it away. Raises MailboxExists when another mailbox has it."""
        await self._annotator.use(name, special_use)

    async def subscribe(self, name: str, origin: object = None) -> None:
        await self._tree.subscribe(lambda names: names | {normalise(name)}, origin)

    async def unsubscribe(self, name: str, origin: object = None) -> None:
        await self._tree.subscribe(lambda names: names - {normalise(name)}, origin)

    async def open(self, name: str) -> Mailbox:
        """A mailbox to work with, seen afresh. Call its release() when done."""
        self.used()
        mailbox = self._folders.find(name)
        mailbox.users += 1
        try:
            if mailbox.state is None:
                async with self._journal.turn:
                    await self._snapshots.load(mailbox)
            if mailbox.complete and len(mailbox.uids) > MANY:
                # What the index says is answered at once; what others did meanwhile is told when it is found.
                self._looks.soon(mailbox)
            else:
                await self.check(mailbox)
            if mailbox.deleted:
                raise NoSuchMailbox(name)
            self.searching.opened(mailbox)
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

    async def brief(self, names: Iterable[str]) -> dict[str, Brief]:
        """What is known of mailboxes, without opening them where that can be."""
        return await self._overview.brief(self._those(names))

    async def look_around(self, names: Iterable[str]) -> None:
        """See what other programs did to mailboxes that need not be open."""
        await self._overview.look(self._those(names))

    def _those(self, names: Iterable[str]) -> list[Mailbox]:
        return [self._mailboxes[name] for name in names if name in self._mailboxes]

    async def usage(self) -> Usage:
        """Octets and messages of all mailboxes."""
        return await self._space.usage()

    async def room(self) -> Room:
        """What is left below the quotas."""
        async with self._journal.turn:
            return await self._space.left()

    async def check(self, mailbox: Mailbox, *, always: bool = False) -> None:
        """Look at the folder if something may have changed it, and take over what did."""
        await self._others.check(mailbox, always=always)

    @contextlib.asynccontextmanager
    async def frozen(self) -> AsyncIterator[list[Frozen]]:
        """While it lasts nothing here changes, and the folders hold what the index says. What is there, for a backup."""
        for name in self.names():
            with contextlib.suppress(NoSuchMailbox):
                (await self.open(name)).release()
        await self.settled()
        async with self._journal.turn:
            await self.settled()
            for mailbox in self._mailboxes.values():
                await self._snapshots.load(mailbox)
            yield [frozen(mailbox) for mailbox in self._mailboxes.values()]

    async def repair(self, told: Callable[[], None] = lambda: None) -> list[str]:
        """Compare every mailbox with its folder, mend, and say what differed. The full-text index is made anew. `told` hears
        of each mailbox that is done.
        """
        report = []
        await self.refresh()
        await self.searching.renew(self._mailboxes[INBOX].text_place, self.mailboxes())
        for name in sorted(self._mailboxes):
            mailbox = await self.open(name)
            try:
                before = (len(mailbox.uids), mailbox.highest_modseq)
                await self.check(mailbox, always=True)
                after = (len(mailbox.uids), mailbox.highest_modseq)
                report.append(f"{name}: {after[0]} messages" + ("" if before == after else f", had {before[0]}; mended"))
            finally:
                mailbox.release()
            told()
        return report

    # Messages come in -----------------------------------------------------------------------------------------------

    async def prepare(self, name: str, message: NewMessage) -> Prepared:
        """Write a message to tmp/ and flush it. Then commit or discard it."""
        self.used()
        return await self._appender.prepare(name, message)

    async def append(self, name: str, message: NewMessage) -> Appended:
        """Prepare and commit one message; a small one is written and named in one hop."""
        self.used()
        return await self._appender.append(name, message)

    async def append_all(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """Prepare and commit messages, all or none."""
        self.used()
        return await self._appender.append_all([(name, message) for message in messages])

    async def deliver(self, messages: Sequence[tuple[str, NewMessage]]) -> Appended:
        """Prepare and commit messages, each into the mailbox that is named beside it, all or none."""
        self.used()
        return await self._appender.append_all(messages)

    def commit(self, prepared: Sequence[Prepared]) -> "asyncio.Future[Appended]":
        """All or none are in their mailbox, durable, when the future is done. It goes on if nobody waits any more."""
        return self._appender.commit(prepared)

    def came_across(self) -> None:
        """Messages of another account are here now, durably, and may go there from now on."""
        self._with.across.add(self.folder.path)

    def discard(self, prepared: Sequence[Prepared]) -> None:
        """Forget prepared messages."""
        self._appender.discard(prepared)
