"""What a script asks of those who know more than it does. Each question says what its answer is.

`run()` yields them and is sent the answers. Who does not know answers what says "no": False or None.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MailboxExists:
    """Whether the mailbox exists and takes messages: bool (RFC 5490 3.1)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class MailboxIdExists:
    """Whether a mailbox with this id exists and takes messages: bool (RFC 9042 4)."""

    id: str


@dataclass(frozen=True, slots=True)
class SpecialUseExists:
    """Whether a mailbox has this special use, `mailbox` where it is not None: bool (RFC 8579 3)."""

    mailbox: str | None
    use: str  # with its backslash


@dataclass(frozen=True, slots=True)
class Annotation:
    """The value of an annotation of a mailbox, or of the server where `mailbox` is None: str or None (RFC 5490)."""

    mailbox: str | None
    name: str


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """Whether this id was remembered under this handle less than `seconds` ago: bool (RFC 7352)."""

    handle: str
    id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class AnsweredRecently:
    """Whether a vacation answer went to `sender` under this handle less than `seconds` ago: bool (RFC 5230 4.2)."""

    handle: str
    sender: str
    seconds: int


@dataclass(frozen=True, slots=True)
class ScriptNamed:
    """The compiled script: Script, None where there is none (RFC 6609 3.2). A broken one is thrown: SieveProblem."""

    name: str
    everybody: bool  # :global, not the user's own


@dataclass(frozen=True, slots=True)
class OnList:
    """Which of `values` is the first on the external list: str or None (RFC 6134 2.2)."""

    list: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListExists:
    """Whether the external list is known: bool (RFC 6134 2.7)."""

    list: str


@dataclass(frozen=True, slots=True)
class ListMembers:
    """The addresses of an external list, for redirect: tuple of str, None where there is no such list (RFC 6134 2.5)."""

    list: str


Question = (
    MailboxExists
    | MailboxIdExists
    | SpecialUseExists
    | Annotation
    | SeenBefore
    | AnsweredRecently
    | ScriptNamed
    | OnList
    | ListExists
    | ListMembers
)
Asks = Generator[Question, object, T]
