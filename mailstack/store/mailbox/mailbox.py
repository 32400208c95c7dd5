"""One open mailbox, shared by its sessions. Read on the event loop; changes go through the account's turn.

What sessions read of it is in view.py, its messages in contents.py, what is computed of them in answering.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mailstack.message.flag import SYSTEM, Flags
from mailstack.store.fulltext.questions import AnyCriterion, Compare, Incoming, Place
from mailstack.store.mailbox.answering import Answering
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.values import (
    Appended,
    Change,
    Copied,
    FlagsChanged,
    GrantsChanged,
    How,
    NewMessage,
    Stored,
)

if TYPE_CHECKING:
    from mailstack.store.mailbox.account import Account


class Mailbox(Answering):
    """Get one from Account.open, and call release() when done with it."""

    def __init__(self, account: Account, name: str, folder: str, marks: Marks) -> None:
        super().__init__(account, name, folder, marks)
        self._listeners: tuple[Callable[[Change], None], ...] = ()

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

    async def find(
        self, criterion: AnyCriterion, uids: Sequence[int], told: Callable[[int, int], None] = lambda done, goal: None
    ) -> Sequence[int]:
        """Those of `uids` whose text meets the criterion; both ascend. Exact, whether it is indexed yet or not. `told` hears
        how many of how many are read, where they must be.
        """
        return await self._account.searching.find(self, criterion, uids, told)
