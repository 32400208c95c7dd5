"""What users' scripts do when IMAP puts messages into a mailbox, or changes their flags there (RFC 6785).

Rule: the command is done and durable before; whatever comes of a script changes nothing for it. What a script does is no event.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mailstack.delivery.carrying import Carrier, named_flags
from mailstack.delivery.parcels import Parcels
from mailstack.delivery.placing import Message, Place, body_alone
from mailstack.delivery.plan import Arrival, Happening, Keep, Plan
from mailstack.delivery.rules import Rules
from mailstack.delivery.story import record_parcel
from mailstack.log import get_logger
from mailstack.message.address import parse_address
from mailstack.message.envelope import Envelope, Recipient, new_id
from mailstack.message.flag import NAMES, Flags
from mailstack.message.header import split_header
from mailstack.policy.inbound import HEADER_LIMIT
from mailstack.policy.judgement import read_evidence
from mailstack.policy.routing import Local, Router
from mailstack.policy.sending import Sending
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept
from mailstack.sieve import actions
from mailstack.sieve.actions import Outcome, SieveError
from mailstack.sieve.flagging import read_flags
from mailstack.sieve.problem import SieveProblem
from mailstack.store.content import Content
from mailstack.store.errors import MessageGone, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import How, NewMessage
from mailstack.store.queue.queue import Queue
from mailstack.store.sieve.scripts import Active, acceptable_name
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord

log = get_logger()
ENTRY = "/shared/imapsieve/script"
NO_FLAGS: Mapping[int, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to messages of a mailbox."""

    cause: str  # RFC 6785 4.3: APPEND, COPY, FLAG
    account: Account
    owner: AccountRecord  # whose account that is
    mailbox: str
    uids: Sequence[int]
    by: str  # the address of the account that did it
    flags: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: NO_FLAGS)  # those that changed, by UID


@dataclass(frozen=True, slots=True)
class _Run:
    """A script over one message."""

    active: Active
    route: Local
    mailbox: Mailbox
    uid: int
    arrival: Arrival


class Events:
    """One for the server."""

    def __init__(
        self,
        rules: Rules,
        router: Router,
        parcels: Parcels,
        queue: Queue,
        sending: Sending,
        trace: Trace,
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._rules = rules
        self._router = router
        self._parcels = parcels
        self._queue = queue
        self._sending = sending
        self._trace = trace
        self._hostname = hostname
        self._clock = clock
        self._random = randomness
        self._turn = asyncio.Semaphore(1)  # deliveries need the threads of scripts, too
        self._stopped = False

    def stop(self) -> None:
        """Begin no further run: what the commands under way changed is safe."""
        self._stopped = True

    async def script(self, account: Account, mailbox: str) -> str | None:
        """The name of the script that runs on what happens there; None: none does. Raises StoreProblem."""
        value = await account.annotation(mailbox, ENTRY)
        name = value.decode("utf-8", "replace") if value is not None else ""
        return name if acceptable_name(name) else None

    async def happened(self, event: Event, count: Callable[[int, int], None]) -> None:
        """Run the mailbox's script over each message. Never raises. `count`: is told how many are done, of how many."""
        account = event.account
        account.hold()
        try:
            name = await self.script(account, event.mailbox)
            active = await self._active(event.owner, name) if name is not None else None
            if active is None:
                return
            mailbox = await account.open(event.mailbox)
            try:
                for number, uid in enumerate(event.uids):
                    if self._stopped:
                        log.warning("sieve.events_ended", account=event.owner.address, left=len(event.uids) - number)
                        return
                    count(number, len(event.uids))
                    await self._message(active, event, mailbox, uid)
            finally:
                mailbox.release()
        except StoreProblem as problem:
            log.error("sieve.event_failed", account=event.owner.address, problem=problem.detail or type(problem).__name__)
        finally:
            account.let_go()

    async def _active(self, owner: AccountRecord, name: str) -> Active | None:
        """RFC 6785 2.3.1: a script that is not there is not run."""
        try:
            script = await self._rules.scripts.named(owner.folder, name)
        except SieveProblem as problem:
            return Active(name, None, problem)
        return Active(name, script) if script is not None else None

    async def _message(self, active: Active, event: Event, mailbox: Mailbox, uid: int) -> None:
        owner = event.owner
        try:
            data = await mailbox.read(uid)
            now = self._flags(mailbox, uid)
            items = {
                "imap.user": event.by,
                "imap.email": event.by,
                "imap.cause": event.cause,
                "imap.mailbox": event.mailbox,
                "imap.changedflags": " ".join(event.flags.get(uid, ())),
            }
            id = new_id(self._clock(), self._random)
            evidence = read_evidence(split_header(data[:HEADER_LIMIT])[0])
            recipient = Recipient(parse_address(owner.address))
            arrival = Arrival(id, None, recipient, Content.of(data), judgement=evidence, happening=Happening(items, now))
            run = _Run(active, Local(owner), mailbox, uid, arrival)
            async with self._turn:
                outcome = await self._rules.outcome(active, event.account, run.route, arrival)
            await self._carry_out(run, event.account, outcome)
        except MessageGone:
            pass
        except StoreProblem as problem:
            log.error("sieve.event_failed", account=owner.address, problem=problem.detail or type(problem).__name__)
        except Exception:
            log.exception("sieve.event_broken", account=owner.address, script=active.name)

    def _flags(self, mailbox: Mailbox, uid: int) -> tuple[str, ...]:
        place = mailbox.position(uid)
        if place is None:
            raise MessageGone
        return read_flags(flag_names(mailbox, mailbox.flags[place]))

    # What a script decided ------------------------------------------------------------------------------------------

    async def _carry_out(self, run: _Run, account: Account, outcome: Outcome) -> None:
        """What leaves goes first, then the copies; only when both are safe the message itself may be marked."""
        carrier = Carrier(account, run.route, run.arrival, Plan((Keep(run.mailbox.name),)), self._hostname, self._clock())
        if outcome.problem is not None:
            await self._failed(run, carrier, outcome.problem)
            return
        found = [one for one in outcome.actions if isinstance(one, actions.FileInto)]
        copies = [(one, await carrier.existing(one)) for one in found]
        for one, name in copies:
            if name is None:
                await self._failed(run, carrier, SieveError(one.line, f"there is no mailbox {one.mailbox!r}"))
                return
        mails = [one for one in outcome.actions if isinstance(one, actions.Redirect | actions.Notify)]
        plan = await carrier.plan(replace(outcome, actions=tuple(mails)))
        if (plan.redirects or plan.replies) and not await self._may_send(run, plan):
            return
        await self._send(run, plan)
        for one, name in copies:
            assert name is not None
            await self._copy(run, account, one, name, carrier)
        kept = next((one for one in outcome.actions if isinstance(one, actions.Keep)), None)
        await self._mark(run, kept, stays=kept is not None or bool(plan.keeps))
        # The message itself, where it came in here, has a story.
        id, delivered, _ = run.mailbox.email_id(run.uid).partition(".")
        if delivered:
            self._rules.tell(run.active, outcome, run.route, id)
        if plan.memories:
            await self._rules.remember(run.route.account.address, plan.memories)

    async def _failed(self, run: _Run, carrier: Carrier, error: SieveError) -> None:
        plan = await self._rules.failed(run.active, error, carrier, run.route, run.arrival, Plan())
        await self._send(run, plan)
        if plan.memories:
            await self._rules.remember(run.route.account.address, plan.memories)

    async def _may_send(self, run: _Run, plan: Plan) -> bool:
        """RFC 6785 3.4: it is the owner's submission, and counts as such."""
        owner, arrival = run.route.account, run.arrival
        transaction = Transaction(arrival.id, "", "", "IMAP", None, owner, self._clock(), arrival.recipient.address)
        for address in (*(one.address for one in plan.redirects), *(one.to for one in plan.replies)):
            routes = await self._router.route(address)
            verdict = await self._sending.recipient(transaction, address, routes)
            if not isinstance(verdict, Accept):
                break
            transaction.recipients.append((Recipient(address), routes))
        else:
            verdict = await self._sending.take(transaction)
        if not isinstance(verdict, Accept):
            log.warning("sieve.event_not_sent", account=owner.address, script=run.active.name, reason=verdict.reason)
        return isinstance(verdict, Accept)

    async def _send(self, run: _Run, plan: Plan) -> None:
        """Into the queue, durably. Raises StoreProblem."""
        arrival = run.arrival
        sender = arrival.recipient.address
        envelope = Envelope(arrival.id, sender, (arrival.recipient,), self._clock())
        place = Place(run.route, arrival.recipient, "event", plan=plan)
        parcels = await self._parcels.of_plan(envelope, place, Message(arrival.id, sender, arrival.content))
        prepared = []
        try:
            for parcel in parcels:
                prepared.append(await self._queue.prepare(parcel.envelope, parcel.prefix, parcel.content))
        except StoreProblem:
            for waiting in prepared:
                self._queue.discard(waiting)
            raise
        if prepared:
            await self._queue.commit(*prepared)
        for parcel in parcels:
            record_parcel(self._trace, arrival.id, parcel)

    async def _copy(self, run: _Run, account: Account, action: actions.FileInto, name: str, carrier: Carrier) -> None:
        """RFC 6785 3.3: always a message of its own."""
        system, keywords = named_flags(action.flags or ())
        header = carrier.edited(action.edits)
        if header is not None:
            content = await body_alone(run.arrival.content)
            place = run.mailbox.position(run.uid)
            date = float(run.mailbox.dates[place]) if place is not None else None
            await account.append(name, NewMessage(content, header, system, keywords, date))
            return
        copied = await run.mailbox.copy([run.uid], name)
        if not copied.uids:
            raise MessageGone
        target = await account.open(name)
        try:
            await _change(target, copied.uids[0], read_flags(run.arrival.happening_flags), action.flags)
        finally:
            target.release()

    async def _mark(self, run: _Run, kept: actions.Keep | None, *, stays: bool) -> None:
        """RFC 6785 3.3 to 3.5, 3.8. What is marked stays until somebody removes it."""
        if not stays:
            await run.mailbox.store([run.uid], How.ADD, Flags.DELETED)
        elif kept is not None:
            await _change(run.mailbox, run.uid, run.arrival.happening_flags, kept.flags)


async def _change(mailbox: Mailbox, uid: int, before: tuple[str, ...], after: actions.Flags) -> None:
    """Only what the script changed: what others do meanwhile stays."""
    if after is None:
        return
    for how, some, others in ((How.ADD, after, before), (How.REMOVE, before, after)):
        without = {one.lower() for one in others}
        system, keywords = named_flags(tuple(one for one in some if one.lower() not in without))
        if system or keywords:
            await mailbox.store([uid], how, system, keywords)


def flag_names(mailbox: Mailbox, flags: int) -> tuple[str, ...]:
    """Bits in words."""
    return (*(name for bit, name in NAMES.items() if flags & bit), *mailbox.keyword_names(flags))
