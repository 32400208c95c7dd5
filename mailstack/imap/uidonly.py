"""Which commands name messages by their numbers, and so are refused after ENABLE UIDONLY (RFC 9586 3)."""

from mailstack.wire.imap import commands as c
from mailstack.wire.imap import search as s


def names_numbers(command: c.Command) -> bool:
    """Also a UID SEARCH, SORT or THREAD with numbers among its keys, and SELECT with RFC 7162's pairs of numbers and UIDs."""
    match command:
        case c.Select(known=known):
            return known is not None and known.numbers is not None
        case c.Search(key=key) | c.Sort(key=key) | c.Thread(key=key):
            return not command.uid or has_numbers(key)
        case c.SearchMailboxes(key=key):
            return has_numbers(key)
        case c.Fetch() | c.Store() | c.Copy() | c.Move() | c.Replace():
            return not command.uid
        case _:
            return False


def has_numbers(key: s.Key) -> bool:
    """Whether a search names messages by their numbers."""
    return any(isinstance(one, s.Numbers) and not one.set.saved for one in s.every(key))
