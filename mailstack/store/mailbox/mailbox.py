"""One open mailbox, shared by its sessions. Read on the event loop; changes go through the account's turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from mailstack.message import mime
from mailstack.message.flag import KEYWORD_COUNT, KEYWORDS, SYSTEM, Flags, keyword_bit, keyword_numbers, to_letters
from mailstack.store.errors import MessageGone
from mailstack.store.fulltext.questions import AnyCriterion, Compare, File, Incoming, Place
from mailstack.store.mailbox import answers
from mailstack.store.mailbox.ahead import MANY, Ahead, Made
from mailstack.store.mailbox.filename import email_id, unique_of
from mailstack.store.mailbox.grants import NOBODY, Grants
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.octets import BLOCK, FileOctets
from mailstack.store.mailbox.orders import Orders
from mailstack.store.mailbox.state import MailboxState, Tombstones
from mailstack.store.mailbox.values import (
    Appended,
    Brief,
    Change,
    Copied,
    FlagsChanged,
    GrantsChanged,
    How,
    MailboxStatus,
    NewMessage,
    SpecialUse,
    Stored,
)

if TYPE_CHECKING:
    from mailstack.store.mailbox.account import Account
    from mailstack.store.mailbox.maildir import Maildir

R = TypeVar("R")
READ_AT_ONCE = 1 << 20  # octets that one hop to a thread reads
NOTHING: Final[Mapping[str, Ahead]] = MappingProxyType({})  # one for all: most mailboxes only wait
NEVER_SEEN = (0, 0)  # the times of a folder that must be looked at


def converts(base: bytes) -> bool:
    """Whether the file has bare LF: another program's, whose size on disk differs from that on the wire."""
    _, found, rest = base.partition(b",S=")
    size, comma, more = rest.partition(b",W=")
    return not (found and comma and more.partition(b",")[0] == size)


class Mailbox:
    """Get one from Account.open, and call release() when done with it."""

    def __init__(self, account: Account, name: str, folder: str, marks: Marks) -> None:
        self._account = account
        self.name = name
        self.folder = folder
        self.marks = marks
        self.grants: Grants = NOBODY
        self.state: MailboxState | None = None
        self.deleted = False
        self.keywords_unsure = False  # whether dovecot-keywords may differ from the state's
        self.users = 0
        self.recent_from = 0  # UIDs below were seen by a session with write access
        self.folder_times = NEVER_SEEN
        self.own_changes = False  # since the last scan
        self.scanned_at = 0.0
        self._brief: Brief | None = None
        self._keywords: tuple[str | None, ...] = ()
        self._orders: Orders | None = None
        self.text_checked = False  # whether its search index was compared since the server started
        self.text_pending = False  # whether its search index is to be
        self.text_others: frozenset[int] | None = None  # UIDs that the index has for other messages; None: not looked yet
        self._ahead: Mapping[str, Ahead] = NOTHING  # by kind of answer
        self._listeners: tuple[Callable[[Change], None], ...] = ()
        self._prefix = os.fsencode(folder) + b"/" if folder else b""

    # What sessions read ---------------------------------------------------------------------------------------------

    @property
    def loaded(self) -> MailboxState:
        assert self.state is not None, "the mailbox is not open"
        return self.state

    @property
    def complete(self) -> bool:
        """Whether all that is in the folder was known once: from the index, or by a look."""
        return self.folder_times != NEVER_SEEN or self.scanned_at > 0

    @property
    def id(self) -> str:
        return self.marks.id

    @property
    def special_use(self) -> SpecialUse | None:
        return SpecialUse(self.marks.special_use) if self.marks.special_use else None

    @property
    def uid_validity(self) -> int:
        return self.marks.uid_validity

    @property
    def uid_next(self) -> int:
        return self.loaded.uid_next

    @property
    def highest_modseq(self) -> int:
        return self.loaded.highest_modseq

    @property
    def keywords(self) -> tuple[str | None, ...]:
        """By number of their letter; None where a letter is free."""
        names = self.loaded.keywords
        if list(self._keywords) != names:
            self._keywords = tuple(names)  # one for all sessions
        return self._keywords

    @property
    def orders(self) -> Orders:
        """What SORT and THREAD keep; made when one of them is first asked for."""
        if self._orders is None:
            self._orders = Orders()
        return self._orders

    @property
    def keywords_full(self) -> bool:
        """Whether no further keyword can be taken: every letter stands in some file's name."""
        return self.loaded.letters_in_use() == (1 << KEYWORD_COUNT) - 1

    @property
    def uids(self) -> array[int]:
        return self.loaded.uids

    @property
    def flags(self) -> array[int]:
        return self.loaded.flags

    @property
    def modseqs(self) -> array[int]:
        return self.loaded.modseqs

    @property
    def sizes(self) -> array[int]:
        return self.loaded.sizes

    @property
    def dates(self) -> array[int]:
        return self.loaded.dates

    @property
    def save_dates(self) -> array[int]:
        """When each message came into this mailbox (RFC 8514), seconds since the epoch; 0 where nobody knows."""
        return self.loaded.saved

    @property
    def tombstones(self) -> Tombstones:
        return self.loaded.tombstones

    def position(self, uid: int) -> int | None:
        return self.loaded.position(uid)

    def places(self, uids: Sequence[int]) -> Sequence[int | None]:
        """Positions of ascending UIDs; None where one is not there. Neighbours are counted, not searched."""
        state = self.loaded
        if not uids:
            return ()
        first, last = state.position(uids[0]), state.position(uids[-1])
        if first is not None and last is not None and last - first + 1 == len(uids):
            return range(first, last + 1)
        return [state.position(uid) for uid in uids]

    def email_id(self, uid: int) -> str:
        """The unique part of the file's name, which copies keep."""
        place = self.loaded.position(uid)
        if place is None:
            raise MessageGone
        return unique_of(self.loaded.bases[place]).decode("ascii")

    def object_id(self, place: int) -> bytes:
        """EMAILID as clients see it; of a position."""
        return email_id(self.loaded.bases[place])

    def keyword_names(self, flags: int) -> list[str]:
        names = self.loaded.keywords
        return [name for number in keyword_numbers(flags) if (name := names[number]) is not None]

    def flags_of(self, flags: Flags, keywords: frozenset[str]) -> int:
        """Bits with the keywords' letters; all of them must be known here."""
        lower = {name.lower(): number for number, name in enumerate(self.loaded.keywords) if name is not None}
        # In plain integers: the complement of an IntFlag would lose the bits above its own.
        bits = int(flags) & ~int(KEYWORDS)
        for keyword in keywords:
            bits |= int(keyword_bit(lower[keyword.lower()]))
        return bits

    def status(self) -> MailboxStatus:
        state = self.loaded
        deleted = int(Flags.DELETED)
        gone = [place for place, flags in enumerate(state.flags) if flags & deleted]
        return MailboxStatus(
            messages=len(state.uids),
            unseen=state.count_without(Flags.SEEN),
            deleted=len(gone),
            recent=sum(1 for uid in state.uids[-1000:] if uid >= self.recent_from) if self.recent_from else 0,
            uid_next=state.uid_next,
            uid_validity=self.marks.uid_validity,
            highest_modseq=state.highest_modseq,
            size=state.octets,
            deleted_size=sum(state.sizes[place] for place in gone),
            id=self.marks.id,
        )

    def brief(self) -> Brief:
        """Counted once a change, whoever asks."""
        state = self.loaded
        if self._brief is None or self._brief.highest_modseq != state.highest_modseq:
            unseen = state.count_without(Flags.SEEN)
            self._brief = Brief(len(state.uids), state.uid_next, self.uid_validity, state.highest_modseq, unseen)
        return self._brief

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Be told of each change once it is durable. Returns the way to stop."""
        self._listeners += (listener,)
        return lambda: self.stop_telling(listener)

    def stop_telling(self, listener: Callable[[Change], None]) -> None:
        self._listeners = tuple(one for one in self._listeners if one != listener)

    def publish(self, change: Change | None) -> None:
        if change is not None:
            for listener in self._listeners:
                listener(change)
            if isinstance(change, GrantsChanged):
                return
            self._account.watchers.messages_changed(self, change)
            if not isinstance(change, FlagsChanged):
                self._account.searching.changed(self)

    def moved(self, name: str, folder: str) -> None:
        """The mailbox was renamed."""
        self.name = name
        self.folder = folder
        self._prefix = os.fsencode(folder) + b"/" if folder else b""

    def release(self) -> None:
        self.users -= 1
        self._account.used()

    # Changes --------------------------------------------------------------------------------------------------------

    async def store(
        self,
        uids: Sequence[int],
        how: How,
        flags: Flags,
        keywords: frozenset[str] = frozenset(),
        unchanged_since: int | None = None,
        origin: object = None,
        may: int = -1,
    ) -> Stored:
        """Change flags (RFC 9051 6.4.6), and of them only those whose bits are in `may`. Messages that are gone are left out.
        Durable when it returns.
        """
        return await self._account.changer.store(self, uids, how, flags & SYSTEM, keywords, unchanged_since, origin, may)

    async def expunge(self, uids: Sequence[int], *, force: bool = False, keep: bool = True) -> tuple[int, ...]:
        """Remove those with \\Deleted (all of them with `force`); the UIDs that went. Without `keep` they are gone for good."""
        return await self._account.changer.expunge(self, uids, force, keep)

    async def copy(self, uids: Sequence[int], destination: str, may: int = -1) -> Copied:
        """All or none; of their flags those whose bits are in `may`."""
        return await self._account.changer.copy(self, uids, destination, may, move=False)

    async def move(self, uids: Sequence[int], destination: str, may: int = -1) -> Copied:
        """All or none; with the flags whose bits are in `may`."""
        return await self._account.changer.copy(self, uids, destination, may, move=True)

    async def replace(self, uid: int, destination: str, message: NewMessage) -> Appended:
        """A new message in the stead of an old one: both or neither is seen, now and after a crash. Durable when it returns."""
        return await self._account.replacer.replace(self, uid, destination, message)

    async def check(self) -> None:
        """See what other programs did to the folder."""
        await self._account.check(self)

    # Reading --------------------------------------------------------------------------------------------------------

    def path(self, place: int) -> bytes:
        """Where a message's file is, below the Maildir."""
        state = self.loaded
        if state.uids[place] in state.fresh:
            return self._prefix + b"new/" + state.bases[place]
        return self._prefix + b"cur/" + state.bases[place] + b":2," + to_letters(state.flags[place]).encode()

    def target(self, base: bytes, flags: int) -> bytes:
        return self._prefix + b"cur/" + base + b":2," + to_letters(flags).encode()

    def fresh_target(self, base: bytes) -> bytes:
        return self._prefix + b"new/" + base

    def temporary(self, name: str) -> bytes:
        return self._prefix + b"tmp/" + name.encode()

    def _files(self, uids: Sequence[int]) -> list[tuple[int, bytes, bool]]:
        state = self.loaded
        return [(state.uids[place], self.path(place), converts(state.bases[place])) for place in state.positions(list(uids))]

    async def _read(self, uid: int, start: int, length: int | None) -> bytes:
        files = self._files([uid])
        if not files:
            raise MessageGone
        _, path, convert = files[0]
        return await self._account.reader.read(
            lambda: self._account.maildir.read(path, start, length, convert=convert), lambda: self._read(uid, start, length)
        )

    async def read(self, uid: int, start: int = 0, length: int | None = None) -> bytes:
        """Octets of a message. Raises MessageGone."""
        return await self._read(uid, start, length)

    async def read_many(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Whole messages by UID, one hop; those that are gone are left out. The caller bounds the sum of sizes."""
        maildir = self._account.maildir
        files = self._files(uids)

        def blocking(files: list[tuple[int, bytes, bool]]) -> dict[int, bytes]:
            found = {}
            for uid, path, convert in files:
                try:
                    found[uid] = maildir.read(path, convert=convert)
                except MessageGone:
                    continue
            return found

        return await self._account.reader.read_many(files, blocking, self._files)

    async def read_spans(self, spans: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
        """Stretches of messages, given as UID, start and length, in one hop; None where the message is gone.

        Those of one message stand together.
        """
        maildir = self._account.maildir
        wanted: dict[int, list[tuple[int, int]]] = {}
        for uid, start, length in spans:
            wanted.setdefault(uid, []).append((start, length))
        files = {uid: (path, convert) for uid, path, convert in self._files(sorted(wanted))}

        def blocking() -> list[bytes | None]:
            found: list[bytes | None] = []
            for uid, stretches in wanted.items():
                try:
                    path, convert = files[uid]
                    found += maildir.stretches(path, stretches, convert=convert)
                except (KeyError, MessageGone):
                    found += [None] * len(stretches)
            return found

        read = await self._account.hop(blocking)
        for place, (uid, start, length) in enumerate(spans):
            if read[place] is None and self.loaded.position(uid) is not None:
                with contextlib.suppress(MessageGone):
                    read[place] = await self._read(uid, start, length)
        return read

    async def blocks(self, uid: int, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """A large message piece by piece, so that it is never in memory whole."""
        place = self.loaded.position(uid)
        if place is None:
            raise MessageGone
        end = self.loaded.sizes[place] if length is None else min(self.loaded.sizes[place], start + length)
        if start >= end:
            return
        file = await self._octets(uid)
        ahead = self._block(file, start, end)
        try:
            while True:
                block = await ahead
                if not block:
                    raise MessageGone
                start += len(block)
                if start >= end:
                    yield block
                    return
                ahead = self._block(file, start, end)  # the next one is read while this one is sent
                yield block
        finally:
            await asyncio.wait([ahead])
            file.close()

    async def _octets(self, uid: int) -> FileOctets:
        files = self._files([uid])
        if not files:
            raise MessageGone
        _, path, convert = files[0]
        return await self._account.reader.read(
            lambda: self._account.maildir.octets(path, convert=convert), lambda: self._octets(uid)
        )

    def _block(self, file: FileOctets, start: int, end: int) -> asyncio.Future[bytes]:
        """Up to the end of a block of the file."""
        return asyncio.ensure_future(self._account.hop(file.__getitem__, slice(start, min(end, start - start % BLOCK + BLOCK))))

    async def headers(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Whole headers by UID, with their blank line."""
        maildir = self._account.maildir
        found: dict[int, bytes] = {}
        files = self._files(uids)
        for first in range(0, len(files), answers.PACK):
            some = files[first : first + answers.PACK]

            def blocking(some: list[tuple[int, bytes, bool]]) -> dict[int, bytes]:
                headers = {}
                for uid, path, convert in some:
                    try:
                        headers[uid] = maildir.header(path, convert=convert)
                    except MessageGone:
                        continue
                return headers

            found |= await self._account.reader.read_many(some, blocking, self._files)
        return found

    async def map(self, uids: Sequence[int], function: Callable[[bytes], R], *, header: bool = False) -> dict[int, R]:
        """`function` of each message's octets (or of its header) by UID, in threads; those that are gone are left out."""
        maildir = self._account.maildir
        files = self._files(uids)
        found: dict[int, R] = {}
        for first in range(0, len(files), 64):
            some = files[first : first + 64]

            def blocking(some: list[tuple[int, bytes, bool]]) -> dict[int, R]:
                results = {}
                for uid, path, convert in some:
                    try:
                        data = maildir.header(path, convert=convert) if header else maildir.read(path, convert=convert)
                    except MessageGone:
                        continue
                    results[uid] = function(data)
                return results

            found |= await self._account.reader.read_many(some, blocking, self._files)
        return found

    # Search ---------------------------------------------------------------------------------------------------------

    @property
    def text_place(self) -> Place:
        index = self._account.folder.index.with_name("fulltext.sqlite3")
        return Place(str(index), f"{self.id}.{self.uid_validity}", str(self._account.maildir.root))

    @property
    def comparison(self) -> Compare:
        """The question whether the index has just what is here."""
        place, state = self.text_place, self.loaded
        uids, sizes, dates = state.uids.tobytes(), state.sizes.tobytes(), state.dates.tobytes()
        return Compare(place.database, place.mailbox, uids, sizes, dates)

    def incoming(self, uids: Sequence[int]) -> list[Incoming]:
        """What the index is to take in; messages that are gone are left out."""
        state = self.loaded
        places = (state.position(uid) for uid in uids)
        sizes = {state.uids[place]: (state.sizes[place], state.dates[place]) for place in places if place is not None}
        return [Incoming(file, *sizes[file.uid]) for file in self.files(uids)]

    @property
    def siblings(self) -> Iterable[Mailbox]:
        """All mailboxes of the account."""
        return self._account.mailboxes()

    @property
    def maildir(self) -> Maildir:
        return self._account.maildir

    def files(self, uids: Sequence[int]) -> list[File]:
        """Where messages are; those that are gone are left out."""
        return [File(*file) for file in self._files(uids)]

    async def read_files(self, files: list[File], blocking: Callable[[list[File]], dict[int, R]]) -> dict[int, R]:
        """`blocking` in a thread, and once more for what it did not find and a promised rename may have moved."""
        return await self._account.reader.read_many(files, blocking, self.files)

    async def find(
        self, criterion: AnyCriterion, uids: Sequence[int], told: Callable[[int, int], None] = lambda done, goal: None
    ) -> Sequence[int]:
        """Those of `uids` whose text meets the criterion; both ascend. Exact, whether it is indexed yet or not. `told` hears
        how many of how many are read, where they must be.
        """
        return await self._account.searching.find(self, criterion, uids, told)

    # Answers --------------------------------------------------------------------------------------------------------

    async def envelopes(self, uids: Sequence[int]) -> dict[int, bytes]:
        """ENVELOPE by UID, ready to send; computed once and kept."""
        return await self._answers(answers.ENVELOPE, uids)

    async def structures(self, uids: Sequence[int], extended: bool) -> dict[int, bytes]:
        """BODYSTRUCTURE (extended) or BODY by UID, ready to send."""
        return await self._answers(answers.STRUCTURE if extended else answers.BODY, uids)

    async def kept_fields(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The header fields of message.header.KEPT_FIELDS by UID, with a blank line."""
        return await self._answers(answers.FIELDS, uids)

    # Answers that a door made of these, in the form in which it sends them: in memory only.

    def by_pack(self, uids: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Ascending UIDs in the groups that are kept together, each with the group's number."""
        first = 0
        while first < len(uids):
            number = uids[first] // answers.PACK
            last = bisect_left(uids, (number + 1) * answers.PACK, first)
            yield number, uids[first:last]
            first = last

    def made(self, kind: str, number: int) -> dict[int, bytes]:
        """A group's answers by UID; some may be missing, and some be of messages that are gone."""
        return self._account.answers.get(self.id, kind, number) or {}

    def keep_made(self, kind: str, number: int, pack: dict[int, bytes], *, instead_of: Iterable[str] = ()) -> None:
        """Keep a group's answers. What they were made of, and the index has, goes first when room is needed."""
        self._account.answers.put(self.id, kind, number, pack)
        for one in instead_of:
            if not self._account.keeper.waits(self.id, one, number):
                self._account.answers.yield_room(self.id, one, number)

    @contextlib.asynccontextmanager
    async def ahead(self, kind: str, numbers: Sequence[int], uids: Sequence[int]) -> AsyncIterator[None]:
        """While answers of a kind are asked for pack after pack: `numbers` in order, of `uids`."""
        searching = self._account.searching
        packs = dict(self.by_pack(uids))
        absent = [number for number in numbers if self._account.answers.get(self.id, kind, number) is None]
        if searching.helps and sum(len(packs[number]) for number in absent) >= MANY:
            kept = await self._account.hop(self._account.index.cached_numbers, self.id, kind)
            absent = [number for number in absent if number not in kept]
        if not searching.helps or sum(len(packs[number]) for number in absent) < MANY or kind in self._ahead:
            yield
            return
        root = self.text_place.root
        ahead = Ahead(absent, lambda number: searching.make(root, self.files(packs[number]), kind))
        self._ahead = {**self._ahead, kind: ahead}
        try:
            yield
        finally:
            self._ahead = {one: found for one, found in self._ahead.items() if one != kind} or NOTHING
            ahead.close()

    async def previews(self, uids: Sequence[int], *, lazy: bool = False) -> dict[int, bytes]:
        """PREVIEW by UID, ready to send; `lazy`: only those that are kept already."""
        return await (self._ready(answers.PREVIEW, uids) if lazy else self._answers(answers.PREVIEW, uids))

    async def thread_ids(self, uids: Sequence[int]) -> dict[int, bytes]:
        """THREADID by UID. A message that names none, itself included, is a thread of its own."""
        found = await self._answers(answers.THREAD, uids)
        places = {uid: place for uid, id in found.items() if not id and (place := self.position(uid)) is not None}
        return {uid: b"T" + self.object_id(places[uid]) if uid in places else id for uid, id in found.items()}

    async def sort_keys(self, uids: Sequence[int]) -> dict[int, bytes]:
        """What SORT and THREAD go by, by UID, as `message.sortkeys.load` reads it."""
        return await self._answers(answers.SORT, uids)

    async def parts(self, uids: Sequence[int]) -> dict[int, mime.Part]:
        """The kept trees of octet offsets."""
        found = await self._answers(answers.PARTS, uids)
        return {uid: mime.load(data) for uid, data in found.items()}

    async def _look_up(self, kind: str, numbers: Iterable[int]) -> None:
        """Bring packs that were kept on disk into the cache."""
        cache = self._account.answers
        absent = [number for number in numbers if cache.get(self.id, kind, number) is None]
        if absent:
            for number, data in (await self._account.hop(self._account.index.cached, self.id, kind, absent)).items():
                cache.put(self.id, kind, number, answers.load(data))

    async def _ready(self, kind: str, uids: Sequence[int]) -> dict[int, bytes]:
        """What is kept, and nothing else."""
        numbers = {uid // answers.PACK for uid in uids}
        await self._look_up(kind, numbers)
        packs = {number: self._account.answers.get(self.id, kind, number) or {} for number in numbers}
        return {uid: answer for uid in uids if (answer := packs[uid // answers.PACK].get(uid)) is not None}

    async def _kept(self, kind: str, number: int) -> dict[int, bytes]:
        await self._look_up(kind, [number])
        return self._account.answers.get(self.id, kind, number) or {}

    async def _answers(self, kind: str, uids: Sequence[int]) -> dict[int, bytes]:
        cache = self._account.answers
        state = self.loaded
        found: dict[int, bytes] = {}
        missing: dict[int, list[int]] = {}
        packs: dict[int, dict[int, bytes]] = {}
        wanted: dict[int, list[int]] = {}
        for uid in uids:
            wanted.setdefault(uid // answers.PACK, []).append(uid)
        await self._look_up(kind, wanted)
        for number, some in wanted.items():
            pack = packs[number] = cache.get(self.id, kind, number) or {}
            for uid in some:
                answer = pack.get(uid)
                if answer is not None:
                    found[uid] = answer
                elif state.position(uid) is not None:
                    missing.setdefault(number, []).append(uid)
        for number, some in missing.items():
            computed: Made = {}
            if kind in self._ahead:
                computed = await self._ahead[kind].take(number) or {}
                found |= computed.get(kind, {})
                some = [uid for uid in some if uid not in found]

            def blocking(
                files: list[tuple[int, bytes, bool]], computed: dict[str, dict[int, bytes]] = computed
            ) -> dict[int, bytes]:
                for one, fresh in answers.compute(self._account.maildir, kind, files).items():
                    computed.setdefault(one, {}).update(fresh)
                return computed[kind]

            if some:
                found |= await self._account.reader.read_many(self._files(some), blocking, self._files)
            for one, fresh in computed.items():
                old = packs[number] if one == kind else await self._kept(one, number)
                pack = {uid: answer for uid, answer in old.items() if state.position(uid) is not None} | fresh
                cache.put(self.id, one, number, pack)
                self._account.keeper.keep(self.id, one, number)
            await asyncio.sleep(0)
        return found
