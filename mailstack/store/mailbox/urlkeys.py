"""A mailbox's key for URLs that let others fetch from it (RFC 4467 3): `.mailstack-urlauth` in its folder, made when needed.

It goes where its folder goes. With another key no URL that was given out means anything any more.
"""

import contextlib
from pathlib import Path

from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.surroundings import Surroundings

FILE = ".mailstack-urlauth"
KEY_OCTETS = 32  # RFC 4467 3: at least 128 bits


class UrlKeys:
    """One account's."""

    def __init__(self, surroundings: Surroundings, maildir: Maildir, folders: Folders, journal: Journal) -> None:
        self._with = surroundings
        self._maildir = maildir
        self._folders = folders
        self._journal = journal

    async def key(self, name: str, *, make: bool) -> bytes | None:
        """A mailbox's key, made durable before it is used; None where there is none. Raises NoSuchMailbox."""
        async with self._journal.turn:
            place = self._place(name)
            found = await self._journal.durably(_read, place)
            if found is None and make:
                found = self._new()
                await self._journal.durably(self._write, place, found)
            return found

    async def reset(self, name: str | None) -> None:
        """Another key for a mailbox; with None for all that have one. Durable when it returns."""
        async with self._journal.turn:
            places = [self._place(one) for one in (list(self._folders.mailboxes) if name is None else [name])]
            await self._journal.durably(self._reset, places)

    def _reset(self, places: list[Path]) -> None:
        for place in places:
            if (place / FILE).exists():
                self._write(place, self._new())

    def _write(self, place: Path, key: bytes) -> None:
        self._with.disk.replace_file(place / FILE, key.hex().encode("ascii") + b"\n")

    def _new(self) -> bytes:
        return self._with.randomness.getrandbits(8 * KEY_OCTETS).to_bytes(KEY_OCTETS, "big")

    def _place(self, name: str) -> Path:
        mailbox = self._folders.find(name)
        if mailbox.deleted:
            raise NoSuchMailbox(name)
        return self._maildir.folder_path(mailbox.folder)


def _read(folder: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        key = bytes.fromhex((folder / FILE).read_text("ascii").strip())
        return key if len(key) == KEY_OCTETS else None
    return None
