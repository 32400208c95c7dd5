"""Many messages changed at once, all or none: STORE, EXPUNGE, COPY, MOVE."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from mailstack.message.flag import KEYWORDS, SYSTEM, Flags
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.change import Arrival, Write, added, planned
from mailstack.store.mailbox.committing import Committer
from mailstack.store.mailbox.facts import Entry, Flagged, Gone, Link, MailboxFacts, Operation, Rename, Unlink, pack
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, Naming
from mailstack.store.mailbox.snapshots import Snapshots
from mailstack.store.mailbox.space import Space
from mailstack.store.mailbox.state import MailboxState
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import Copied, How, Stored

AT_ONCE = 500  # messages that are planned between two looks at what else is to be done
_DELETED, _DRAFT, _KEEPS = int(Flags.DELETED), int(Flags.DRAFT), ~int(SYSTEM | KEYWORDS)


class Changer:
    """Each call takes the turn: what is planned stays true while others are served."""

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

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[Write]:
        """The turn, with a change in the making."""
        async with self._journal.turn:
            with planned(self._maildir) as write:
                yield write

    async def store(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        how: How,
        flags: Flags,
        names: frozenset[str],
        unchanged_since: int | None,
        origin: object,
        may: int,
    ) -> Stored:
        """See Mailbox.store."""
        async with self._changing() as write:
            state = _still(mailbox)
            if not may & int(KEYWORDS):
                names = frozenset()  # no letter is taken for what may not be set
            if how is How.REMOVE:
                known = {name.lower() for name in state.keywords if name is not None}
                names = frozenset(name for name in names if name.lower() in known)
            write.take_keywords(mailbox, names)
            flagging = await _flagging(mailbox, uids, how, mailbox.flags_of(flags, names), unchanged_since, may)
            modified = tuple(flagging.modified)
            if not flagging.changed:
                if write.naming.keywords:
                    await self._journal.durably(self._write_keywords, write.naming)
                return Stored((), modified, state.highest_modseq)
            modseq = state.highest_modseq + 1
            fact = Flagged(modseq, pack("I", flagging.changed), pack("Q", flagging.values))
            write.entry = Entry([MailboxFacts(mailbox.id, [fact])], flagging.operations)
            await self._committer.commit(write, [mailbox], origin)
            await self._committer.after_turn()
            return Stored(tuple(flagging.changed), modified, modseq)

    def _write_keywords(self, naming: Naming) -> None:
        for path, names in naming.keywords:
            keywords.write(self._with.disk, path, names)

    async def expunge(self, mailbox: Mailbox, uids: Sequence[int], force: bool, keep: bool) -> tuple[int, ...]:
        """See Mailbox.expunge."""
        async with self._journal.turn:
            state = _still(mailbox)
            flags = state.flags
            places = [place for place in state.positions(list(uids)) if force or flags[place] & _DELETED]
            if not places:
                return ()
            gone = [state.uids[place] for place in places]
            operations: list[Operation] = []
            async for some in _in_pieces(places):
                operations += [_ending(mailbox, place, keep=keep) for place in some]
            fact = Gone(state.highest_modseq + 1, pack("I", gone))
            entry = Entry([MailboxFacts(mailbox.id, [fact])], operations)
            await self._committer.commit(Write(Naming(self._maildir), entry), [mailbox])
            await self._committer.after_turn()
            return tuple(gone)

    async def copy(self, mailbox: Mailbox, uids: Sequence[int], destination: str, may: int, *, move: bool) -> Copied:
        """See Mailbox.copy and Mailbox.move."""
        async with self._changing() as write:
            target = self._folders.find(destination)
            await self._snapshots.load(target)
            state = _still(mailbox)
            places = state.positions(list(uids))
            if not places:
                return Copied(target.uid_validity, (), ())
            if not move:
                (await self._space.left()).without(sum(state.sizes[place] for place in places), len(places))
            kinds = {state.flags[place] & may for place in places}
            wanted = {name for flags in kinds for name in mailbox.keyword_names(flags)}
            write.take_keywords(target, frozenset(wanted))
            arrivals, operations = await _copies(mailbox, places, target, may, move=move)
            sources = [state.uids[place] for place in places]
            now = int(self._with.clock())
            changes = [MailboxFacts(target.id, [added(target.loaded.highest_modseq + 1, arrivals, fresh=False, saved=now)])]
            if move:
                modseq = state.highest_modseq + (2 if mailbox is target else 1)
                changes.append(MailboxFacts(mailbox.id, [Gone(modseq, pack("I", sources))]))
            write.entry = Entry(changes, operations)
            await self._committer.commit(write, [target] if target is mailbox else [target, mailbox])
            await self._committer.after_turn()
            return Copied(target.uid_validity, tuple(sources), tuple(one.uid for one in arrivals))


def _ending(mailbox: Mailbox, place: int, *, keep: bool) -> Operation:
    """Drafts are not kept: programs make a new one of each every minute."""
    return Unlink(mailbox.path(place), keep and not mailbox.flags[place] & _DRAFT)


async def _in_pieces(places: list[int]) -> AsyncIterator[list[int]]:
    for first in range(0, len(places), AT_ONCE):
        if first:
            await asyncio.sleep(0)
        yield places[first : first + AT_ONCE]


def _still(mailbox: Mailbox) -> MailboxState:
    """In the turn: a mailbox that a session has open may have been deleted by another."""
    if mailbox.deleted:
        raise NoSuchMailbox(mailbox.name)
    return mailbox.loaded


@dataclass(slots=True)
class _Flagging:
    """What a STORE comes to."""

    changed: list[int] = field(default_factory=list)  # UIDs
    values: list[int] = field(default_factory=list)  # their new flags
    operations: list[Operation] = field(default_factory=list)
    modified: list[int] = field(default_factory=list)  # UIDs that were changed by others meanwhile


async def _flagging(
    mailbox: Mailbox, uids: Sequence[int], how: How, bits: int, unchanged_since: int | None, may: int
) -> _Flagging:
    state = mailbox.loaded
    found = _Flagging()
    keep = _KEEPS if how is How.REPLACE else -1
    async for some in _in_pieces(state.positions(list(uids))):
        for place in some:
            if unchanged_since is not None and state.modseqs[place] > unchanged_since:
                found.modified.append(state.uids[place])
                continue
            old = state.flags[place]
            new = old | bits if how is How.ADD else old & ~bits if how is How.REMOVE else (old & keep) | bits
            new = (old & ~may) | (new & may)
            if new != old:
                found.changed.append(state.uids[place])
                found.values.append(new)
                found.operations.append(Rename(mailbox.path(place), mailbox.target(state.bases[place], new)))
    return found


async def _copies(
    mailbox: Mailbox, places: list[int], target: Mailbox, may: int, *, move: bool
) -> tuple[list[Arrival], list[Operation]]:
    """The same messages in another place, with their flags in its letters."""
    state = mailbox.loaded
    mapped: dict[int, int] = {}
    arrivals: list[Arrival] = []
    operations: list[Operation] = []
    uid = target.loaded.uid_next
    async for some in _in_pieces(places):
        for place in some:
            flags = state.flags[place] & may
            if flags not in mapped:
                mapped[flags] = target.flags_of(Flags(flags), frozenset(mailbox.keyword_names(flags)))
            base = _renumbered(state.bases[place], target.uid_validity, uid)
            source, path = mailbox.path(place), target.target(base, mapped[flags])
            operations.append(Rename(source, path) if move else Link(source, path))
            arrivals.append(Arrival(uid, mapped[flags], state.sizes[place], state.dates[place], base))
            uid += 1
    return arrivals, operations


def _renumbered(base: bytes, uid_validity: int, uid: int) -> bytes:
    """The same message in another place: only M= changes."""
    return b"%b,M=%d.%d" % (base.rpartition(b",M=")[0], uid_validity, uid)
