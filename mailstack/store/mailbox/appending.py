"""How messages come in: drafts in tmp/ first, then all that wait at one moment get their UIDs and names together."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from mailstack.log import get_logger
from mailstack.message.flag import SYSTEM
from mailstack.store.disk import Disk
from mailstack.store.drafts import Draft, draft_of, write_drafts
from mailstack.store.errors import StoreFailed, StoreProblem, from_os_error
from mailstack.store.mailbox.arrived import arrived
from mailstack.store.mailbox.change import planned
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.group import Group, take_room
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.space import Space
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import Appended, NewMessage, Prepared

Waiting = tuple[list[Prepared], "asyncio.Future[Appended]"]
log = get_logger()


class Appender:
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
    ) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._folders = folders
        self._journal = journal
        self._snapshots = snapshots
        self._committer = committer
        self._space = space
        self._waiting: list[Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    async def prepare(self, name: str, message: NewMessage) -> Prepared:
        """Write a message to tmp/ and flush it. Then commit or discard it."""
        prepared = self._draft(name, message)
        draft = prepared.draft
        assert draft is not None
        try:
            if draft.rest is None:
                await self._with.drafts.do(draft)
            else:
                await self._with.hop(_write_large, self._with.disk, draft)
        except OSError as problem:
            raise from_os_error(problem) from problem
        return replace(prepared, draft=None)

    async def append(self, name: str, message: NewMessage) -> Appended:
        """Prepare and commit one message; a small one is written and named in one hop."""
        return await self.append_all([(name, message)])

    async def append_all(self, messages: Sequence[tuple[str, NewMessage]]) -> Appended:
        """Prepare and commit messages, each into its mailbox, all or none. The small ones are written with the commit and
        share its flushes.
        """
        prepared: list[Prepared] = []
        try:
            for name, message in messages:
                if message.content.descriptor is not None:
                    prepared.append(await self.prepare(name, message))
                else:
                    prepared.append(self._draft(name, message))
        except BaseException:
            self.discard(prepared)
            raise
        return await self.commit(prepared)

    def _draft(self, name: str, message: NewMessage) -> Prepared:
        """To be written when it is named, or before."""
        mailbox = self._folders.find(name)
        unique = message.unique or self._with.new_unique()
        temporary = mailbox.temporary(f"{unique}.{self._with.randomness.getrandbits(32):08x}")
        draft = draft_of(self._maildir.path(temporary), message.prefix, message.content)
        date = int(self._with.clock() if message.internal_date is None else message.internal_date)
        flags = message.flags & SYSTEM
        return Prepared(
            mailbox.name, temporary, draft.size, date, unique, flags, message.keywords, message.fresh,
            message.once, message.again, draft,
        )  # fmt: skip

    def discard(self, prepared: Sequence[Prepared]) -> None:
        """Forget prepared messages."""
        names = [item.temporary for item in prepared]
        if names:
            self._with.executor.submit(self._maildir.discard, names)

    def commit(self, prepared: Sequence[Prepared]) -> "asyncio.Future[Appended]":
        """All or none are in their mailbox, durable, when the future is done. It goes on if nobody waits any more."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(prepared), future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._commit_waiting())
        return future

    async def _commit_waiting(self) -> None:
        """Commit all that wait at this moment as one group: they share the flushes."""
        while self._waiting:
            async with self._journal.turn:
                batch, self._waiting = self._waiting, []
                try:
                    await self._append_group(batch)
                except StoreProblem as problem:
                    if len(batch) > 1:
                        await self._append_one_by_one(batch)
                    else:
                        self._refuse(batch[0], problem)
                except BaseException as problem:
                    for item in batch:
                        self._refuse(item, StoreFailed(type(problem).__name__))
                    if not isinstance(problem, Exception):
                        raise
                    log.exception("store.append_failed", folder=str(self._maildir.root.parent))
                await self._committer.after_turn()

    async def _append_one_by_one(self, batch: list[Waiting]) -> None:
        """One of a group may be what fails."""
        for item in batch:
            try:
                await self._append_group([item])
            except StoreProblem as problem:
                self._refuse(item, problem)

    def _refuse(self, item: Waiting, problem: StoreProblem) -> None:
        prepared, future = item
        self.discard(prepared)
        if not future.done():
            future.set_exception(problem)
            future.exception()  # the caller may be gone

    async def _append_group(self, batch: list[Waiting]) -> None:
        done = await self._delivered([one for prepared, _ in batch for one in prepared if one.once])
        room = await self._space.left()
        answers: list[tuple[asyncio.Future[Appended], Appended]] = []
        with planned(self._maildir) as write:
            group = Group(write, self._with.host, int(self._with.clock()))
            for prepared, future in batch:
                room = take_room(room, prepared)
                places = {one.mailbox: self._folders.find(one.mailbox) for one in prepared}
                for mailbox in places.values():
                    await self._snapshots.load(mailbox)
                    group.into(mailbox, [one for one in prepared if places[one.mailbox] is mailbox])
                given = []
                for one in prepared:
                    if one.once and one.unique in done:
                        self.discard([one])
                        given.append(done[one.unique])
                        continue
                    uid = group.add(places[one.mailbox], one, alone=len(prepared) == 1)
                    if one.once:
                        done[one.unique] = uid
                    given.append(uid)
                answers.append((future, Appended(places[prepared[0].mailbox].uid_validity, tuple(given))))
            if group.complete():
                await self._committer.commit(write, list(group.touched.values()))
        for future, appended in answers:
            if not future.done():
                future.set_result(appended)

    async def _delivered(self, once: list[Prepared]) -> dict[str, int]:
        """Those that came before, with their UIDs: by the index, and where an attempt was cut off, by the folder."""
        if not once:
            return {}
        done = await self._journal.durably(self._journal.index.delivered, [one.unique for one in once])
        unsure: dict[str, set[str]] = {}
        for one in once:
            if one.again and one.unique not in done:
                unsure.setdefault(self._folders.find(one.mailbox).folder, set()).add(one.unique)
        for folder, uniques in unsure.items():
            done |= await self._journal.durably(arrived, self._maildir, folder, uniques)
        return done


def _write_large(disk: Disk, draft: Draft) -> None:
    """By itself: others need not wait for it."""
    problem = write_drafts(disk, [draft])[0]
    if problem is not None:
        raise problem
