"""NOTIFY (RFC 5465 8)."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.fetch import Item
from mailstack.wire.imap.fetch_grammar import fetch_items
from mailstack.wire.imap.notify import MESSAGE_EVENTS, THE_SELECTED, Event, EventGroup, Which
from mailstack.wire.imap.scanner import Scanner

_EVENTS: Final = MappingProxyType({event.value.upper(): event for event in Event})
_STATUS = re.compile(rb" +STATUS(?= )", re.IGNORECASE)
GROUP_LIMIT = 100


def _notify(scanner: Scanner) -> c.Command:
    scanner.space()
    form = scanner.word()
    if form == "NONE":
        return c.Notify()
    if form != "SET":
        raise SyntaxProblem("SET or NONE expected")
    status = _STATUS.match(scanner.text, scanner.position)
    if status is not None:
        scanner.position = status.end()
    groups: list[EventGroup] = []
    while scanner.skip(b" "):
        while scanner.skip(b" "):
            pass
        groups.append(_group(scanner))
        if len(groups) > GROUP_LIMIT:
            raise SyntaxProblem("too many event groups")
    if not groups:
        raise SyntaxProblem("event groups expected")
    if sum(group.which in THE_SELECTED for group in groups) > 1:
        raise SyntaxProblem("SELECTED or SELECTED-DELAYED once")  # RFC 5465 6.1
    return c.Notify(tuple(groups), status is not None)


def _group(scanner: Scanner) -> EventGroup:
    scanner.expect(b"(")
    try:
        which = Which(scanner.word())
    except ValueError:
        raise SyntaxProblem("unknown mailbox specifier") from None
    names: tuple[str, ...] = ()
    if which in (Which.SUBTREE, Which.MAILBOXES):
        scanner.space()
        names = tuple(dict.fromkeys(scanner.mailboxes()))
    scanner.space()
    group = _events(scanner, which, names)
    scanner.expect(b")")
    return group


def _events(scanner: Scanner, which: Which, names: tuple[str, ...]) -> EventGroup:
    if not scanner.skip(b"("):
        if scanner.word() != "NONE":
            raise SyntaxProblem("events or NONE expected")
        return EventGroup(which, frozenset(), names)
    events: set[Event] = set()
    unknown: set[str] = set()
    items: tuple[Item, ...] = ()
    while True:
        name = scanner.word()
        event = _EVENTS.get(name)
        if event is None:
            unknown.add(name)
        else:
            events.add(event)
        if event is Event.MESSAGE_NEW and scanner.text.startswith(b" (", scanner.position):
            scanner.space()
            items = fetch_items(scanner)
        if scanner.skip(b")"):
            break
        scanner.space()
    _agree(which, events, items)
    return EventGroup(which, frozenset(events), names, items, frozenset(unknown))


def _agree(which: Which, events: set[Event], items: tuple[Item, ...]) -> None:
    """RFC 5465 5 and 6.1: what must come together."""
    both = {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE}
    if events & MESSAGE_EVENTS and not both <= events:
        raise SyntaxProblem("message events need MessageNew and MessageExpunge")
    if which in THE_SELECTED:
        if events - MESSAGE_EVENTS:
            raise SyntaxProblem("only message events for the selected mailbox")
    elif items:
        raise SyntaxProblem("FETCH items only for the selected mailbox")


COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]]({"NOTIFY": _notify})
