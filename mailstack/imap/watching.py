"""What a session asked to hear by NOTIFY (RFC 5465): gathered as it happens, told as soon as no command is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.store.mailbox.foldername import normalise
from mailstack.store.mailbox.values import (
    AnnotationsChanged,
    Brief,
    Change,
    FlagsChanged,
    MailboxGone,
    MailboxMade,
    MailboxRemoved,
    MailboxRenamed,
    SubscriptionsChanged,
    TreeChange,
)
from mailstack.wire.imap.fetch import Attribute, Item
from mailstack.wire.imap.notify import THE_SELECTED, Event, EventGroup, Which
from mailstack.wire.imap.responses import mailbox as shown_name

if TYPE_CHECKING:
    from mailstack.imap.session import Session
    from mailstack.store.mailbox.mailbox import Mailbox

PENDING_LIMIT = 2000  # things to tell a client that does not read them


class Watch:
    """Made by NOTIFY, and replaced by the next one. Without groups nothing is told (NOTIFY NONE)."""

    __slots__ = ("_groups", "_names", "_overflowed", "_session", "_stale", "_tree", "of_selected")

    def __init__(self, session: Session, groups: tuple[EventGroup, ...]) -> None:
        self._session = session
        self._groups = tuple(group for group in groups if group.which not in THE_SELECTED)
        self._names = {group: frozenset(map(normalise, group.names)) for group in self._groups}
        self.of_selected = next((group for group in groups if group.which in THE_SELECTED and group.events), None)
        self._stale: dict[str, Mailbox] = {}  # by id: their STATUS is to be told
        self._tree: list[TreeChange] = []
        self._overflowed = False
        if self._groups:
            session.mail.watchers.add(self)

    def close(self) -> None:
        self._session.mail.watchers.remove(self)

    # What is wanted -------------------------------------------------------------------------------------------------

    @property
    def tells_flags(self) -> bool:
        """Whether others' changes of flags in the selected mailbox are told."""
        return self.of_selected is not None and Event.FLAG_CHANGE in self.of_selected.events

    @property
    def items(self) -> tuple[Item, ...]:
        """What is told of each new message in the selected mailbox."""
        asked = self.of_selected.items if self.of_selected is not None else ()
        return asked if not asked or Attribute.UID in asked else (Attribute.UID, *asked)

    def wants(self, name: str, event: Event) -> bool:
        """All groups that name a mailbox count together (RFC 5465 6)."""
        return any(event in group.events and self._about(group, name) for group in self._groups)

    def _about(self, group: EventGroup, name: str) -> bool:
        match group.which:
            case Which.SUBSCRIBED:
                return self._session.mail.subscribed(name)
            case Which.MAILBOXES:
                return name in self._names[group]
            case Which.SUBTREE:
                tops = self._names[group]
                return name in tops or any(name[:end] in tops for end, letter in enumerate(name) if letter == "/")
            case _:
                # RFC 5465 6.3: where mail may come in is not known, others deliver too; so INBOXES is PERSONAL.
                return True

    @property
    def watches_tree(self) -> bool:
        return any(Event.MAILBOX_NAME in group.events for group in self._groups)

    def watched(self) -> list[str]:
        """The mailboxes, without the selected one, whose messages are of interest."""
        selected = self._session.selected
        here = selected.mailbox.name if selected is not None and selected.own else None
        if not any(Event.MESSAGE_NEW in group.events for group in self._groups):
            return []
        return [name for name in self._session.mail.names() if name != here and self.wants(name, Event.MESSAGE_NEW)]

    async def look(self) -> None:
        """See what other programs did to what is watched."""
        if self.watches_tree:
            await self._session.mail.refresh()
        await self._session.mail.look_around(self.watched())

    # What happens ---------------------------------------------------------------------------------------------------

    def messages_changed(self, mailbox: Mailbox, change: Change) -> None:
        selected = self._session.selected
        if (selected is not None and selected.mailbox is mailbox) or isinstance(change, MailboxGone):
            return
        event = Event.FLAG_CHANGE if isinstance(change, FlagsChanged) else Event.MESSAGE_NEW
        if mailbox.id not in self._stale and self.wants(mailbox.name, event):
            self._stale[mailbox.id] = mailbox
            self._note()

    def tree_changed(self, change: TreeChange) -> None:
        """RFC 5465 5: what this client did itself, it is not told."""
        if change.origin is not self._session and self._wants_change(change):
            self._tree.append(change)
            self._note()

    def _wants_change(self, change: TreeChange) -> bool:
        match change:
            case SubscriptionsChanged(names):
                return any(self.wants(name, Event.SUBSCRIPTION_CHANGE) for name in names)
            case AnnotationsChanged(name):
                if not name:
                    return any(Event.SERVER_METADATA_CHANGE in group.events for group in self._groups)
                return self.wants(name, Event.MAILBOX_METADATA_CHANGE)
            case MailboxRenamed(old, new):
                return self.wants(old, Event.MAILBOX_NAME) or self.wants(new, Event.MAILBOX_NAME)
            case _:
                return self.wants(change.name, Event.MAILBOX_NAME)

    def _note(self) -> None:
        if len(self._stale) + len(self._tree) > PENDING_LIMIT:
            # RFC 5465 5.8
            self._overflowed = True
            self._stale, self._tree, self._groups, self.of_selected = {}, [], (), None
            self.close()
        self._session.connection.work_soon()

    # What is told ---------------------------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        selected = self._session.selected
        if self._stale or self._tree or self._overflowed:
            return True
        if selected is None or self.of_selected is None or not selected.has_news:
            return bool(selected is not None and (selected.deleted or selected.unfetched))
        return self._expunges_now or selected.has_other_news

    @property
    def _expunges_now(self) -> bool:
        at_once = self.of_selected is not None and self.of_selected.which is Which.SELECTED
        return at_once or self._session.idling is not None

    async def tell(self) -> None:
        """All that is to be told now. No command of the session is under way."""
        session = self._session
        if self._overflowed:
            self._overflowed = False
            session.write(b"* OK [NOTIFICATIONOVERFLOW] Too much happens: ask again for less\r\n")
        session.flush_updates(may_expunge=self._expunges_now)
        await self._tell_new_messages()
        await self._tell_tree()
        await self._tell_stale()

    async def _tell_new_messages(self) -> None:
        from mailstack.imap.commands.fetch import tell

        selected = self._session.selected
        if selected is not None and selected.unfetched and not self._session.closed_to():
            uids, selected.unfetched = selected.unfetched, ()
            if self.items:
                await tell(self._session, selected, uids, self.items)

    async def _tell_stale(self) -> None:
        stale, self._stale = self._stale, {}
        for mailbox in stale.values():
            if not mailbox.deleted and mailbox.state is not None:
                self.tell_status(mailbox.name, mailbox.brief())
                await self._session.connection.drain()

    def tell_status(self, name: str, brief: Brief) -> None:
        """At least what RFC 5465 5.1 to 5.3 want of any event."""
        session = self._session
        values = b"MESSAGES %d UIDNEXT %d UIDVALIDITY %d HIGHESTMODSEQ %d" % (
            brief.messages, brief.uid_next, brief.uid_validity, brief.highest_modseq
        )  # fmt: skip
        if brief.unseen is not None:
            values += b" UNSEEN %d" % brief.unseen
        session.write(b"* STATUS %b (%b)\r\n" % (shown_name(name, utf8=session.utf8), values))

    async def _tell_tree(self) -> None:
        from mailstack.imap.commands.metadata import names_line
        from mailstack.imap.listed import list_line
        from mailstack.imap.places import listing

        changes, self._tree = self._tree, []
        if not changes:
            return
        session = self._session
        known = {name: one.info for name, one in (await listing(session)).items()}
        for change in changes:
            match change:
                case SubscriptionsChanged(names):
                    for name in names:
                        if self.wants(name, Event.SUBSCRIPTION_CHANGE):
                            session.write(list_line(session, known, name))
                case AnnotationsChanged(name, entries):
                    session.write(names_line(session, name, entries))
                case MailboxRenamed(old, new):
                    session.write(list_line(session, known, new, old_name=old))
                case MailboxMade(name) | MailboxRemoved(name):
                    session.write(list_line(session, known, name))
                    parent = name.rpartition("/")[0]
                    if parent in known and self.wants(parent, Event.MAILBOX_NAME):
                        session.write(list_line(session, known, parent))  # it has, or has not, children now
            await session.connection.drain()
