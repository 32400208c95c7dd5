"""What follows from a script that ran on what happened in a mailbox (RFC 6785 3)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mailstack.delivery.carrying import Carrier, named_flags
from mailstack.delivery.parcels import Parcels
from mailstack.delivery.placing import Message, Place, body_alone
from mailstack.delivery.plan import Arrival, Keep, Plan
from mailstack.delivery.posting import post
from mailstack.delivery.rules import Rules
from mailstack.log import get_logger
from mailstack.message.envelope import Envelope, Recipient
from mailstack.message.flag import Flags
from mailstack.policy.routing import Local, Router
from mailstack.policy.sending import Sending
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept
from mailstack.sieve import actions
from mailstack.sieve.actions import Outcome, SieveError
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import How, NewMessage
from mailstack.store.queue.queue import Queue
from mailstack.store.sieve.scripts import Active
from mailstack.store.trace import Trace

log = get_logger()


@dataclass(frozen=True, slots=True)
class EventRun:
    """A script over one message."""

    active: Active
    route: Local
    mailbox: Mailbox
    uid: int
    arrival: Arrival


class Consequences:
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
    ) -> None:
        self._rules = rules
        self._router = router
        self._parcels = parcels
        self._queue = queue
        self._sending = sending
        self._trace = trace
        self._hostname = hostname
        self._clock = clock

    async def carry_out(self, run: EventRun, account: Account, outcome: Outcome) -> None:
        """What leaves goes first, then the copies; only when both are safe the message itself may be marked.

        Raises StoreProblem, MessageGone.
        """
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

    async def _failed(self, run: EventRun, carrier: Carrier, error: SieveError) -> None:
        plan = await self._rules.failed(run.active, error, carrier, run.route, run.arrival, Plan())
        await self._send(run, plan)
        if plan.memories:
            await self._rules.remember(run.route.account.address, plan.memories)

    async def _may_send(self, run: EventRun, plan: Plan) -> bool:
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

    async def _send(self, run: EventRun, plan: Plan) -> None:
        """Into the queue, durably. Raises StoreProblem."""
        arrival = run.arrival
        sender = arrival.recipient.address
        envelope = Envelope(arrival.id, sender, (arrival.recipient,), self._clock())
        place = Place(run.route, arrival.recipient, "event", plan=plan)
        parcels = await self._parcels.of_plan(envelope, place, Message(arrival.id, sender, arrival.content))
        await post(self._queue, self._trace, arrival.id, parcels)

    async def _copy(self, run: EventRun, account: Account, action: actions.FileInto, name: str, carrier: Carrier) -> None:
        """RFC 6785 3.3: always a message of its own."""
        system, keywords = named_flags(action.flags or ())
        header, body = carrier.edited(action.edits)
        if header is not None:
            content = await body_alone(run.arrival.content, body)
            place = run.mailbox.position(run.uid)
            date = float(run.mailbox.dates[place]) if place is not None else None
            await account.append(name, NewMessage(content, header, system, keywords, date))
            return
        copied = await run.mailbox.copy([run.uid], name)
        if not copied.uids:
            raise MessageGone
        target = await account.open(name)
        try:
            await _change(target, copied.uids[0], run.arrival.happening_flags, action.flags)
        finally:
            target.release()

    async def _mark(self, run: EventRun, kept: actions.Keep | None, *, stays: bool) -> None:
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
