"""Annotations read and changed (RFC 5464): those of a mailbox, and the account's own, which have the empty name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mailstack.store.errors import MailboxExists, NoSuchMailbox, from_os_error
from mailstack.store.mailbox import annotations, marks
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import AnnotationsChanged, SpecialUse
from mailstack.store.mailbox.watching import Watchers

REMEMBERED = 1024  # octets of a value that stays in memory


class Annotator:
    """One account's."""

    def __init__(
        self,
        account: Path,
        surroundings: Surroundings,
        maildir: Maildir,
        folders: Folders,
        journal: Journal,
        watchers: Watchers,
    ) -> None:
        self._account = account
        self._with = surroundings
        self._maildir = maildir
        self._folders = folders
        self._journal = journal
        self._watchers = watchers
        self._refused: dict[
            str, dict[str, bytes]
        ] = {}  # by mailbox id: what is true where a failed write may stand in the file
        self._known: dict[tuple[str, str], bytes | None] = {}  # by mailbox id and entry: those that are asked again and again
        self._changes = 0

    async def read(self, names: Sequence[str]) -> list[dict[str, bytes]]:
        """Of several mailboxes in one hop. Raises NoSuchMailbox."""
        places = [self._place(name) for name in names]
        ids = [self._id(name) for name in names]
        try:
            found = await self._with.hop(lambda: [annotations.read(place) for place in places])
        except OSError as problem:
            raise from_os_error(problem) from problem
        return [dict(self._refused.get(id, one)) for id, one in zip(ids, found, strict=True)]

    async def value(self, name: str, entry: str) -> bytes | None:
        """One of a mailbox, which is remembered."""
        key = self._id(name), entry
        if key not in self._known:
            changes = self._changes
            found = (await self.read([name]))[0].get(entry)
            if changes != self._changes or len(found or b"") > REMEMBERED:
                return found
            self._known[key] = found
        return self._known[key]

    def _forget(self, id: str) -> None:
        self._changes += 1
        for key in [key for key in self._known if key[0] == id]:
            del self._known[key]

    async def change(self, name: str, changes: Mapping[str, bytes | None], origin: object) -> None:
        """All or none; None removes one. Durable when it returns."""
        async with self._journal.turn:
            place = self._place(name)
            shown = self._folders.find(name).name if name else name
            id = self._id(name)
            have = self._refused.get(id)
            if have is None:
                have = await self._journal.durably(annotations.read, place)
            after = annotations.changed(have, changes)
            self._forget(id)
            try:
                await self._journal.durably(annotations.write, self._with.disk, place, after)
            except BaseException:
                self._refused[id] = have
                raise
            finally:
                self._forget(id)
            self._refused.pop(id, None)
            self._watchers.tree_changed(AnnotationsChanged(shown, tuple(changes), origin))

    async def use(self, name: str, special_use: SpecialUse | None) -> None:
        """Give a mailbox another special use, or none. Raises MailboxExists when another mailbox has it."""
        async with self._journal.turn:
            mailbox = self._folders.find(name)
            others = (one for one in self._folders.mailboxes.values() if one is not mailbox)
            if special_use is not None and any(other.special_use is special_use for other in others):
                raise MailboxExists(name)
            new = marks.with_use(mailbox.marks, special_use)
            path = self._maildir.folder_path(mailbox.folder)
            await self._journal.durably(marks.write, self._with.disk, path, new)
            mailbox.marks = new

    def _place(self, name: str) -> Path:
        if not name:
            return self._account
        mailbox = self._folders.find(name)
        if mailbox.deleted:
            raise NoSuchMailbox(name)
        return self._maildir.folder_path(mailbox.folder)

    def _id(self, name: str) -> str:
        return self._folders.find(name).id if name else name
