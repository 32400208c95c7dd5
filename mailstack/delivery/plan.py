"""What is to become of a message for one account here: which mailboxes keep it, who else gets it, what is answered.

A plan is a value. Whoever delivers (accept.py after the final dot, local.py out of the queue) asks the planner and carries it
out: what leaves goes into the queue first, then the mailboxes keep, then what must be remembered is written down.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailstack.message.address import Address
from mailstack.message.envelope import Recipient
from mailstack.message.flag import Flags
from mailstack.policy.judgement import Judgement
from mailstack.store.content import Content
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.values import NO_FLAGS

# The field of a copy that was sent on, by which account: what comes back to it goes no further.
REDIRECTED = "X-Sieve-Redirected-From"


@dataclass(frozen=True, slots=True)
class Keep:
    """A copy in a mailbox. `header`: the whole header instead of the message's own, up to the blank line; `body` likewise."""

    mailbox: str = INBOX
    flags: Flags = NO_FLAGS
    keywords: frozenset[str] = frozenset()
    header: bytes | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """A copy for another address. `header` and `body` as in Keep."""

    address: Address
    header: bytes | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of our own that leaves: a vacation answer, a notification. Its sender is nobody, so that nothing answers it."""

    kind: str  # "vacation", "notify", "problem": for the log and the trace
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The message is not wanted, and its sender is to be told (RFC 5429)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What is to be known for some time: an answer, once it is on its way; of a message that was seen, once it is kept."""

    words: tuple[str, ...]
    seconds: float
    kept: bool = False  # only when the mailboxes have it: what was not kept was not seen


@dataclass(frozen=True, slots=True)
class Plan:
    """With nothing in it, the message is dropped, as its owner wants it."""

    keeps: tuple[Keep, ...] = (Keep(),)
    redirects: tuple[Redirect, ...] = ()
    replies: tuple[Answer, ...] = ()
    reject: Refusal | None = None
    memories: tuple[Memory, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether mailboxes are all that it touches."""
        return not (self.redirects or self.replies or self.reject or self.memories)


INTO_INBOX = Plan()


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a message that is in a mailbox: what scripts may know of it (RFC 6785 4), and its flags."""

    items: Mapping[str, str]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message on its way into an account. `prefix`: the fields that stand in front of it, without Return-Path."""

    id: str
    sender: Address | None
    recipient: Recipient
    content: Content
    prefix: bytes = b""
    judgement: Judgement | None = None
    peer: str = ""  # the address of the host that sent it; empty out of the queue, which does not know it any more
    peer_name: str | None = None  # its name, where that is confirmed
    happening: Happening | None = None  # nothing arrives: it is here already

    @property
    def happening_flags(self) -> tuple[str, ...]:
        return self.happening.flags if self.happening is not None else ()
