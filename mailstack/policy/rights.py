"""What an account may do in a mailbox: rights as values (RFC 4314 2.1), and how grants add up to them."""

import enum
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.message.flag import Flags
from mailstack.store.mailbox.grants import Grant


class Rights(enum.Flag):
    """RFC 4314 2.1."""

    LOOKUP = enum.auto()  # LIST, SUBSCRIBE
    READ = enum.auto()  # SELECT, STATUS
    SEEN = enum.auto()  # \\Seen
    WRITE = enum.auto()  # all flags but \\Seen and \\Deleted
    INSERT = enum.auto()  # APPEND, COPY into it
    POST = enum.auto()  # kept, and without a meaning here: mailboxes have no addresses for submission
    CREATE = enum.auto()  # mailboxes below
    DELETE = enum.auto()  # the mailbox
    MARK = enum.auto()  # \\Deleted
    EXPUNGE = enum.auto()
    ADMINISTER = enum.auto()  # SETACL, DELETEACL, GETACL, LISTRIGHTS


NONE: Final = Rights(0)
ALL: Final = ~NONE
# RFC 4314 5.2: without any of these a mailbox is read-only.
WRITING: Final = Rights.INSERT | Rights.EXPUNGE | Rights.SEEN | Rights.WRITE | Rights.MARK
# RFC 4314 4: who has one of these may ask for his rights.
KNOWING: Final = Rights.LOOKUP | Rights.READ | Rights.INSERT | Rights.CREATE | Rights.DELETE | Rights.ADMINISTER
READING: Final = Rights.LOOKUP | Rights.READ  # all that a login has that may only read
CREATING: Final = Rights.CREATE | Rights.DELETE  # the old right "c"
REMOVING: Final = Rights.EXPUNGE | Rights.MARK  # the old right "d"; what MOVE and REPLACE need of where messages go from

LETTERS: Final = MappingProxyType(
    {
        "l": Rights.LOOKUP,
        "r": Rights.READ,
        "s": Rights.SEEN,
        "w": Rights.WRITE,
        "i": Rights.INSERT,
        "p": Rights.POST,
        "k": Rights.CREATE,
        "x": Rights.DELETE,
        "t": Rights.MARK,
        "e": Rights.EXPUNGE,
        "c": CREATING,
        "d": REMOVING,
        "a": Rights.ADMINISTER,
    }
)


def parse_rights(letters: str) -> Rights:
    """Raises SyntaxProblem: an unknown right is never passed over (RFC 4314 3.1)."""
    rights = NONE
    for letter in letters:
        if letter not in LETTERS:
            raise SyntaxProblem("unknown right")
        rights |= LETTERS[letter]
    return rights


def show_rights(rights: Rights) -> str:
    """The letters, with the old ones where any right of theirs is there (RFC 4314 2.1.1)."""
    return "".join([letter for letter, right in LETTERS.items() if rights & right])


def sum_of(grants: Iterable[Grant], account: str, *, anyone: bool) -> Rights:
    """What the grants give an account, known by its folder: all that it and, if that counts, anyone is given, less what it
    and anyone is denied.
    """
    given = denied = NONE
    for grant in grants:
        if grant.account == account or (grant.account is None and (anyone or grant.negative)):
            if grant.negative:
                denied |= parse_rights(grant.rights)
            else:
                given |= parse_rights(grant.rights)
    return given & ~denied


def changeable(rights: Rights) -> int:
    """The flags that may be set and cleared, as bits (RFC 4314 4)."""
    bits = 0
    if Rights.SEEN in rights:
        bits |= int(Flags.SEEN)
    if Rights.MARK in rights:
        bits |= int(Flags.DELETED)
    if Rights.WRITE in rights:
        bits |= ~int(Flags.SEEN | Flags.DELETED)
    return bits
