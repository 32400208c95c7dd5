"""Answers that are computed of messages once and kept: in packs, in memory and in the index."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mailstack.message import mime
from mailstack.store.mailbox import answers
from mailstack.store.mailbox.ahead import MANY, Ahead, Made
from mailstack.store.mailbox.contents import Contents
from mailstack.store.mailbox.marks import Marks

if TYPE_CHECKING:
    from mailstack.store.mailbox.account import Account

NOTHING: Final[Mapping[str, Ahead]] = MappingProxyType({})  # one for all: most mailboxes only wait


class Answering(Contents):
    """Of messages that are gone there is no answer."""

    def __init__(self, account: Account, name: str, folder: str, marks: Marks) -> None:
        super().__init__(account, name, folder, marks)
        self._ahead: Mapping[str, Ahead] = NOTHING  # by kind of answer

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
        root = str(self.maildir.root)
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
