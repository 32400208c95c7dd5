"""What a NOTIFY asks to hear (RFC 5465 8)."""

import enum
from dataclasses import dataclass

from mailstack.wire.imap.fetch import Item


class Event(enum.Enum):
    """RFC 5465 5, by the names that are sent."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    ANNOTATION_CHANGE = "AnnotationChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


MESSAGE_EVENTS = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE, Event.ANNOTATION_CHANGE})


class Which(enum.Enum):
    """RFC 5465 6: which mailboxes an event group is about."""

    SELECTED = "SELECTED"
    SELECTED_DELAYED = "SELECTED-DELAYED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    MAILBOXES = "MAILBOXES"


THE_SELECTED = frozenset({Which.SELECTED, Which.SELECTED_DELAYED})


@dataclass(frozen=True, slots=True)
class EventGroup:
    """`unknown` are names of events that no standard of ours has; they are answered NO, not BAD."""

    which: Which
    events: frozenset[Event]
    names: tuple[str, ...] = ()  # of SUBTREE and MAILBOXES
    items: tuple[Item, ...] = ()  # what is told of a new message in the selected mailbox
    unknown: frozenset[str] = frozenset()
