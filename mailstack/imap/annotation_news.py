"""What other sessions did to annotations, for a client that enabled METADATA (RFC 5464 4.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.store.mailbox.values import AnnotationsChanged, Change, TreeChange

if TYPE_CHECKING:
    from mailstack.imap.session import Session
    from mailstack.store.mailbox.mailbox import Mailbox

PENDING_LIMIT = 10_000  # names that are remembered for a client that asks nothing


class AnnotationNews:
    """Made by ENABLE. A NOTIFY that came says itself what it wants to hear."""

    __slots__ = ("_names", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names: dict[tuple[str, str], None] = {}
        session.mail.watchers.add(self)

    def close(self) -> None:
        self._session.mail.watchers.remove(self)

    def messages_changed(self, mailbox: Mailbox, change: Change) -> None:
        pass

    def tree_changed(self, change: TreeChange) -> None:
        session = self._session
        if not isinstance(change, AnnotationsChanged) or change.origin is session or session.watch is not None:
            return
        if len(self._names) < PENDING_LIMIT:
            self._names.update(dict.fromkeys((change.name, entry) for entry in change.entries))
        if session.idling is not None:
            self.tell()
            session.connection.flush()

    def tell(self) -> None:
        """All that is to be told now."""
        from mailstack.imap.commands.metadata import names_line

        by_mailbox: dict[str, list[str]] = {}
        for mailbox, entry in self._names:
            by_mailbox.setdefault(mailbox, []).append(entry)
        self._names = {}
        for mailbox, entries in by_mailbox.items():
            self._session.write(names_line(self._session, mailbox, entries))
