"""The copies of a message that stay here, as a plan says. Several in one account come into being together or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.delivery.plan import INTO_INBOX, Arrival, Keep, Plan
from mailstack.delivery.planner import Planner
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Recipient
from mailstack.message.trace import return_path
from mailstack.policy.inbound import HEADER_LIMIT
from mailstack.policy.judgement import Judgement, evidence
from mailstack.policy.routing import Local
from mailstack.store.content import Content
from mailstack.store.errors import NameRefused, NoSuchMailbox, StoreProblem, TooManyKeywords, from_os_error
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage, Prepared
from mailstack.store.users.directory import Directory

log = get_logger()
UNFIT = (NoSuchMailbox, NameRefused, TooManyKeywords)  # what a plan can ask for in vain


@dataclass(frozen=True, slots=True)
class Message:
    """What is delivered: `prefix` (trace fields) in front of `content`."""

    id: str
    sender: Address | None
    content: Content
    prefix: bytes = b""
    peer: str = ""
    peer_name: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """An account that gets a message, and what it does with it. `once`: a repeated attempt makes no second copy; `again`: it
    may be one.
    """

    route: Local
    recipient: Recipient
    unique: str
    judgement: Judgement | None = None
    plan: Plan = INTO_INBOX
    once: bool = False
    again: bool = False

    @property
    def address(self) -> str:
        return self.route.account.address

    def evidence(self) -> bytes:
        """What stands in this account's copy alone."""
        return evidence(self.judgement) if self.judgement is not None else b""

    def arrival(self, message: Message) -> Arrival:
        prefix = message.prefix + self.evidence()
        return Arrival(
            message.id, message.sender, self.recipient, message.content, prefix, self.judgement, message.peer,
            message.peer_name,
        )  # fmt: skip


class Placing:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, planner: Planner) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self.planner = planner

    async def plan(self, place: Place, message: Message) -> Plan:
        """Raises StoreProblem."""
        return await self.planner.plan(place.route, place.arrival(message))

    async def remember(self, place: Place, *, kept: bool) -> None:
        """Of its plan, what is to be known once the mailboxes keep it, or before. Never raises for trouble with the disk."""
        memories = tuple(one for one in place.plan.memories if one.kept is kept)
        if memories:
            await self.planner.remember(place.route, memories)

    async def deliver(self, place: Place, message: Message) -> None:
        """Into the mailboxes at once. Raises StoreProblem."""
        if not place.plan.keeps:
            return
        account = await self._account(place)
        try:
            await account.deliver(await self._copies(place, message, place.plan.keeps))
        except UNFIT as problem:
            self._unfit(place, message, problem)
            await account.deliver(await self._copies(place, message, (Keep(),)))

    async def prepare(self, place: Place, message: Message) -> tuple[Account, list[Prepared]]:
        """Written to tmp/ and flushed; then commit or discard it. Raises StoreProblem."""
        account = await self._account(place)
        if not place.plan.keeps:
            return account, []
        try:
            return account, await self._prepare(account, await self._copies(place, message, place.plan.keeps))
        except UNFIT as problem:
            self._unfit(place, message, problem)
            return account, await self._prepare(account, await self._copies(place, message, (Keep(),)))

    async def _prepare(self, account: Account, copies: Sequence[tuple[str, NewMessage]]) -> list[Prepared]:
        done: list[Prepared] = []
        try:
            for name, copy in copies:
                done.append(await account.prepare(name, copy))
        except BaseException:
            account.discard(done)
            raise
        return done

    async def _account(self, place: Place) -> Account:
        return await self._mailboxes.account(self._directory.folder(place.route.account))

    async def _copies(self, place: Place, message: Message, keeps: tuple[Keep, ...]) -> list[tuple[str, NewMessage]]:
        front = return_path(message.sender)
        found = []
        for number, keep in enumerate(keeps):
            prefix, content = front + message.prefix + place.evidence(), message.content
            if keep.header is not None:
                prefix, content = front + keep.header, await body_alone(message.content, keep.body)
            unique = place.unique if number == 0 else f"{place.unique}-{number}"
            new = NewMessage(
                content, prefix, keep.flags, keep.keywords, unique=unique, fresh=True, once=place.once, again=place.again
            )  # fmt: skip
            found.append((keep.mailbox, new))
        return found

    def _unfit(self, place: Place, message: Message, problem: StoreProblem) -> None:
        """Never lost because of where it should have gone."""
        log.warning("delivery.into_inbox", id=message.id, account=place.address, problem=type(problem).__name__)


async def body_alone(content: Content, instead: bytes | None = None) -> Content:
    """What stands behind the header, or instead, as a content of its own. Raises StoreProblem."""
    if instead is not None:
        return Content.of(instead)
    header = content.header(HEADER_LIMIT)
    try:
        if content.descriptor is None:
            return content.rest(len(header))
        return await asyncio.get_running_loop().run_in_executor(None, content.rest, len(header))
    except OSError as problem:
        raise from_os_error(problem) from problem
