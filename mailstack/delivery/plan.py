"""What is to become of a message for one account here: which mailboxes keep it, who else gets it, what is answered.

A plan is a value. Whoever delivers (accept.py after the final dot, local.py out of the queue) asks the planner and carries it
out: what leaves goes into the queue first, then the mailboxes keep, then what must be remembered is written down.
"""

from dataclasses import dataclass

from mailstack.message.address import Address
from mailstack.message.envelope import Recipient
from mailstack.message.flag import Flags
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Local
from mailstack.store.content import Content
from mailstack.store.errors import MailboxExists, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NO_FLAGS, SpecialUse
from mailstack.store.users.directory import Directory

JUNK = "Junk"
# Nobody outside puts mail there by an address.
_OWN = frozenset({SpecialUse.SENT, SpecialUse.DRAFTS, SpecialUse.TRASH})


@dataclass(frozen=True, slots=True)
class Keep:
    """A copy in a mailbox. `header`: the whole header instead of the message's own, up to the blank line."""

    mailbox: str = INBOX
    flags: Flags = NO_FLAGS
    keywords: frozenset[str] = frozenset()
    header: bytes | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """A copy for another address. `header` as in Keep."""

    address: Address
    header: bytes | None = None


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
    """What is to be known for some time once the plan is carried out: an answer that was given, a message that was seen."""

    key: str
    seconds: float


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
class Arrival:
    """A message on its way into an account. `prefix`: the fields that stand in front of it, without Return-Path."""

    id: str
    sender: Address | None
    recipient: Recipient
    content: Content
    prefix: bytes = b""
    judgement: Judgement | None = None


class Planner:
    """One for the server. Without a script, a tag or Junk an account costs a look-up, and nothing is awaited."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, *, subaddress: bool = False) -> None:
        """`subaddress`: what comes for user+name goes into the mailbox of that name, where there is one (RFC 5233)."""
        self._directory = directory
        self._mailboxes = mailboxes
        self.subaddress = subaddress

    async def plan(self, route: Local, arrival: Arrival) -> Plan:
        """Raises StoreProblem when the account can't be looked into."""
        if arrival.judgement is not None and arrival.judgement.junk:
            return Plan((Keep(await self._junk(await self._account(route))),))
        if route.tag and self.subaddress:
            named = _named(await self._account(route), route.tag)
            return Plan((Keep(named),)) if named is not None else INTO_INBOX
        return INTO_INBOX

    async def remember(self, route: Local, memories: tuple[Memory, ...]) -> None:
        """What a plan that was carried out leaves behind. Never raises for trouble with the disk."""

    async def _account(self, route: Local) -> Account:
        return await self._mailboxes.account(self._directory.folder(route.account))

    async def _junk(self, account: Account) -> str:
        """The mailbox for what nobody wants; made anew where it was deleted."""
        for mailbox in account.mailboxes():
            if mailbox.special_use is SpecialUse.JUNK:
                return mailbox.name
        try:
            return (await account.create(JUNK, SpecialUse.JUNK)).name
        except MailboxExists:
            return JUNK
        except StoreProblem:
            return INBOX


def _named(account: Account, tag: str) -> str | None:
    """The mailbox that a tag names, in any case; a dot may stand for the separator, which few addresses have."""
    wanted = tag.casefold()
    for mailbox in account.mailboxes():
        name = mailbox.name.casefold()
        if wanted in (name, name.replace("/", ".")) and mailbox.special_use not in _OWN:
            return mailbox.name
    return None
