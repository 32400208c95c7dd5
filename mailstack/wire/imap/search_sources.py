"""Which mailboxes an ESEARCH searches (RFC 7377 2.2, RFC 5465 6)."""

import enum
from dataclasses import dataclass


class Scope(enum.Enum):
    SELECTED = "SELECTED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    SUBTREE_ONE = "SUBTREE-ONE"
    MAILBOXES = "MAILBOXES"


NAMED = frozenset({Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES})


@dataclass(frozen=True, slots=True)
class Source:
    scope: Scope
    names: tuple[str, ...] = ()  # of those that name mailboxes


THE_SELECTED = Source(Scope.SELECTED)
