"""Who hears of a whole account: of messages in every mailbox, and of mailboxes that come, go and change their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mailstack.store.mailbox.values import Change, TreeChange

if TYPE_CHECKING:
    from mailstack.store.mailbox.mailbox import Mailbox


class Watcher(Protocol):
    """Called on the event loop after the commit; it must not wait for anything."""

    def messages_changed(self, mailbox: Mailbox, change: Change) -> None: ...

    def tree_changed(self, change: TreeChange) -> None: ...


class Watchers:
    """One account's. It costs nothing where nobody watches."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: tuple[Watcher, ...] = ()

    def add(self, watcher: Watcher) -> None:
        self._all = (*self._all, watcher)

    def remove(self, watcher: Watcher) -> None:
        self._all = tuple(one for one in self._all if one is not watcher)

    def messages_changed(self, mailbox: Mailbox, change: Change) -> None:
        for watcher in self._all:
            watcher.messages_changed(mailbox, change)

    def tree_changed(self, change: TreeChange) -> None:
        for watcher in self._all:
            watcher.tree_changed(change)
