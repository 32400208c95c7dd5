"""Queued messages for mailboxes here."""

from dataclasses import replace

from mailstack.delivery.outcome import Delivered, Outcome, later, never
from mailstack.delivery.parcels import Parcel, Parcels
from mailstack.delivery.placing import Message, Place, Placing
from mailstack.delivery.plan import INTO_INBOX
from mailstack.delivery.posting import post
from mailstack.delivery.story import record_place
from mailstack.message.envelope import Recipient, Turn
from mailstack.message.header import split_header
from mailstack.policy.judgement import read_evidence
from mailstack.policy.lists import Lists
from mailstack.policy.routing import Disabled, Local, Router, ToList, Unknown
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory
from mailstack.wire.smtp import Reply

HEADER_SEEN = 65536  # octets in front in which evidence of ours stands


class LocalDelivery:
    """What could not be delivered at once, and notices to people here."""

    def __init__(
        self, router: Router, directory: Directory, placing: Placing, parcels: Parcels, queue: Queue, trace: Trace
    ) -> None:
        self._directory = directory
        self._lists = Lists(directory)
        self._router = router
        self._placing = placing
        self._parcels = parcels
        self._queue = queue
        self._trace = trace

    async def deliver(self, queued: Queued, recipient: Recipient, number: int) -> Outcome:
        """The unique name keeps a repeated attempt from making a second copy."""
        routes = await self._router.route(recipient.address)
        found = [route for route in routes if isinstance(route, Local)]
        lists = [route for route in routes if isinstance(route, ToList)]
        if lists:
            refused = await self._lists_refuse(queued, lists)
            if refused is not None:
                return refused
        if not found and not lists:
            if isinstance(routes[0], Disabled):
                return never("the mailbox is switched off", "5.2.1")
            if isinstance(routes[0], Unknown):
                return never("there is no such mailbox", "5.1.1")
            return later("the address leads elsewhere now", "4.3.5")
        content = Content.of(await self._queue.read(queued))
        message = Message(queued.id, queued.envelope.sender, content)
        judgement = read_evidence(split_header(content.head(HEADER_SEEN))[0])
        reasons: list[str] = []
        try:
            await self._send(queued, number, await self._parcels.of_lists(queued.envelope, lists, message))
            for place, route in enumerate(found):
                unique = f"{queued.id}.{number}" if place == 0 else f"{queued.id}.{number}-{place}"
                to = Place(route, recipient, unique, judgement, once=True, again=queued.begun)
                reason = await self._deliver(queued, number, message, to, len(found))
                reasons += [reason] if reason is not None else []
        except StoreProblem as problem:
            return later(f"the mailbox can't be written: {type(problem).__name__}", "4.3.0")
        finally:
            content.close()
        if reasons and len(reasons) == len(found) and not lists:
            return never(reasons[0], "5.7.1")
        return Delivered(Reply(250, "2.1.5", "delivered"), None, confirms=False, final=True)

    async def _lists_refuse(self, queued: Queued, lists: list[ToList]) -> Outcome | None:
        """What was sent on here, by a rule or another list, must be let in as at the door."""
        account = await self._directory.account(queued.envelope.account) if queued.envelope.account else None
        for to in lists:
            if not await self._lists.may_post(to, queued.envelope.sender, account):
                return never(f"you may not write to {to.mailing.address}", "5.7.1")
        return None

    async def _deliver(self, queued: Queued, number: int, message: Message, place: Place, places: int) -> str | None:
        """Carry out an account's plan; why it refuses the message, if it does and nobody else gets it. Raises StoreProblem."""
        plan = await self._placing.plan(place, message)
        reason = None
        if plan.reject is not None and places == 1:
            # The queue tells the sender, as of every failure.
            reason, plan = plan.reject.reason, replace(plan, reject=None)
        place = replace(place, plan=plan)
        parcels = await self._parcels.of_plan(queued.envelope, place, message)
        await self._send(queued, number, parcels)
        await self._placing.remember(place, kept=False)
        await self._placing.deliver(place, message)
        if plan != INTO_INBOX and reason is None:
            record_place(self._trace, queued.id, place)
        await self._placing.remember(place, kept=True)
        return reason

    async def _send(self, queued: Queued, number: int, parcels: list[Parcel]) -> None:
        """Into the queue, where it waits until this recipient is done: what an earlier attempt put there still has its name."""
        turn = Turn(queued.id, number)
        fresh = [
            replace(parcel, envelope=replace(parcel.envelope, after=turn))
            for parcel in parcels
            if parcel.envelope.id not in self._queue.messages
        ]
        await post(self._queue, self._trace, queued.id, fresh)
