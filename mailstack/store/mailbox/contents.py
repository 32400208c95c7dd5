"""Messages of one open mailbox, read from their files: each call is one hop to a thread, or one for some of many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from mailstack.message.flag import to_letters
from mailstack.store.errors import MessageGone
from mailstack.store.fulltext.questions import File
from mailstack.store.mailbox import answers
from mailstack.store.mailbox.octets import BLOCK, FileOctets
from mailstack.store.mailbox.view import View

if TYPE_CHECKING:
    from mailstack.store.mailbox.maildir import Maildir

R = TypeVar("R")


def converts(base: bytes) -> bool:
    """Whether the file has bare LF: another program's, whose size on disk differs from that on the wire."""
    _, found, rest = base.partition(b",S=")
    size, comma, more = rest.partition(b",W=")
    return not (found and comma and more.partition(b",")[0] == size)


class Contents(View):
    """What is gone is left out, or raises MessageGone."""

    @property
    def maildir(self) -> Maildir:
        return self._account.maildir

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

    def files(self, uids: Sequence[int]) -> list[File]:
        """Where messages are; those that are gone are left out."""
        return [File(*file) for file in self._files(uids)]

    async def read_files(self, files: list[File], blocking: Callable[[list[File]], dict[int, R]]) -> dict[int, R]:
        """`blocking` in a thread, and once more for what it did not find and a promised rename may have moved."""
        return await self._account.reader.read_many(files, blocking, self.files)
