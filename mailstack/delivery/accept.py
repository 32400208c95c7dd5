"""The step after the final dot. Rule: 250 only when every recipient is in a mailbox or in the queue, flushed; else 4xx."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.parcels import Parcel, Parcels
from mailstack.delivery.placing import Message, Place, Placing
from mailstack.delivery.report_mail import ReportMail
from mailstack.delivery.story import tell, text
from mailstack.delivery.taking import Taking, envelope_of, message_of, split_routes
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, new_id
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Local, Remote, Router
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.errors import NoSpace, StoreFailed, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.values import Prepared
from mailstack.store.queue.queue import PreparedQueued, Queue
from mailstack.store.trace import Trace
from mailstack.wire.smtp import Reply

log = get_logger()
NONE: Mapping[str, Judgement] = MappingProxyType({})


class Acceptor:
    """One for the server."""

    def __init__(
        self,
        router: Router,
        placing: Placing,
        parcels: Parcels,
        queue: Queue,
        trace: Trace,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._router = router
        self._placing = placing
        self._parcels = parcels
        self._queue = queue
        self._trace = trace
        self._clock = clock
        self._random = randomness
        self.bouncer: Bouncer | None = None
        self.reports: ReportMail | None = None

    async def accept(
        self, transaction: Transaction, content: Content, prefix: bytes, judgements: Mapping[str, Judgement] = NONE
    ) -> Reply:
        """Take a message over. `judgements` by account. Never raises for trouble with the disk."""
        envelope = envelope_of(transaction, content)
        message = message_of(transaction, content, prefix)
        ways = split_routes(transaction, judgements)
        try:
            places = await self._planned(ways.places, message)
            alone = not (ways.remote or ways.forwarded or ways.lists)
            if len(places) == 1 and alone and places[0].plan.reject is not None:
                return self._refused(envelope, places[0])
            parcels = await self._parcels.forwards(envelope, ways.remote, ways.forwarded, message)
            parcels += await self._parcels.of_lists(envelope, ways.lists, message)
            for place in places:
                parcels += await self._parcels.of_plan(envelope, place, message)
        except StoreProblem as problem:
            return _no(problem)
        if ways.lists and not parcels and not places:
            return Reply(554, "5.4.6", "The list has sent this message to its members already")
        reply = await self._take_over(Taking(envelope, message, places, parcels))
        if reply.positive and self.reports is not None:
            await self.reports.look(envelope, content, prefix)
        return reply

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """A notice of our own: routed and taken over like any other. Raises StoreProblem when it can't be kept."""
        message = Message(envelope.id, envelope.sender, content)
        recipient = envelope.recipients[0]
        routes = await self._router.route(recipient.address)
        places = [
            Place(route, recipient, f"{envelope.id}.{number}")
            for number, route in enumerate(routes)
            if isinstance(route, Local)
        ]
        remote = [replace(recipient, address=route.address) for route in routes if isinstance(route, Remote)]
        if not places and not remote:
            log.warning("bounce.undeliverable", id=envelope.id, to=str(recipient.address))
            return
        parcels = [Parcel(replace(envelope, recipients=tuple(remote)), b"", content)] if remote else []
        places = await self._planned(places, message)
        for place in places:
            parcels += await self._parcels.of_plan(envelope, place, message)
        reply = await self._take_over(Taking(envelope, message, places, parcels))
        if not reply.positive:
            raise StoreProblem(reply.text)

    async def _planned(self, places: list[Place], message: Message) -> list[Place]:
        """What each account does with it. Of several, one that can't be asked now is asked again by the queue."""
        found = []
        for place in places:
            try:
                found.append(replace(place, plan=await self._placing.plan(place, message)))
            except StoreProblem as problem:
                if len(places) == 1:
                    raise
                # Preparing will fail the same way, and then the queue owes it.
                log.error("delivery.no_plan", id=message.id, account=place.address, problem=problem.detail)
                found.append(place)
        return found

    def _refused(self, envelope: Envelope, place: Place) -> Reply:
        """RFC 5429 2.1.1: the only recipient wants none of it, and the sender is still here to be told."""
        assert place.plan.reject is not None
        reason = place.plan.reject.reason
        self._trace.record(envelope.id, "refused", sender=text(envelope.sender), to=place.address, reason="sieve", reply=reason)
        log.info("message.refused", id=envelope.id, account=place.address, reason="sieve")
        return Reply(550, "5.7.1", _one_line(reason))

    async def _take_over(self, taking: Taking) -> Reply:
        places, parcels = taking.places, taking.parcels
        if len(places) == 1 and not parcels:
            # Nothing else must be safe first: written and named in one go.
            try:
                await self._placing.deliver(places[0], taking.message)
            except StoreProblem as problem:
                return _no(problem)
            return await self._done(taking, places, [])
        prepared: list[tuple[Place, Account, list[Prepared]]] = []
        owed: list[Place] = []
        queued: list[PreparedQueued] = []
        cause = StoreProblem()
        try:
            results = await asyncio.gather(*(self._prepare(place, taking.message) for place in places))
            for place, result in zip(places, results, strict=True):
                if isinstance(result, StoreProblem):
                    log.error("delivery.not_now", id=taking.envelope.id, account=place.address, problem=result.detail)
                    owed.append(place)
                    cause = result
                else:
                    prepared.append((place, *result))
            if owed:
                if len(owed) == len(places) and not parcels:
                    raise cause
                # What its plan sends is made anew by the queue, with the plan.
                without = {place.address for place in owed}
                parcels = [parcel for parcel in parcels if parcel.account not in without]
                parcels += [self._owed(taking, place, ()) for place in owed]
                taking.parcels = parcels
            alone = not prepared and len(parcels) == 1
            for parcel in parcels:
                queued.append(await self._queue.prepare(parcel.envelope, parcel.prefix, parcel.content, alone=alone))
        except StoreProblem as problem:
            for _, account, items in prepared:
                account.discard(items)
            for waiting in queued:
                self._queue.discard(waiting)
            return _no(problem)
        return await self._commit(taking, prepared, queued)

    async def _prepare(self, place: Place, message: Message) -> tuple[Account, list[Prepared]] | StoreProblem:
        try:
            return await self._placing.prepare(place, message)
        except StoreProblem as problem:
            return problem

    def _owed(self, taking: Taking, place: Place, sent: tuple[str, ...]) -> Parcel:
        """What a mailbox here is owed by the queue. `sent`: what its plan sent already."""
        local, _, domain = place.address.rpartition("@")
        if place.route.tag:
            local = f"{local}+{place.route.tag}"
        recipient = replace(place.recipient, address=Address(local, domain))
        id = new_id(self._clock(), self._random)
        away = replace(taking.envelope, id=id, recipients=(recipient,), origin=taking.envelope.id, sent=sent)
        return Parcel(away, taking.message.prefix + place.evidence(), taking.message.content)

    async def _commit(
        self, taking: Taking, prepared: list[tuple[Place, Account, list[Prepared]]], queued: list[PreparedQueued]
    ) -> Reply:
        """The queue first, then the mailboxes; what fails after the first commit is owed by the queue."""
        id = taking.envelope.id
        committed = len(queued)
        trouble: StoreProblem | None = None
        if queued:
            try:
                await self._queue.commit(*queued)
            except StoreProblem as problem:
                for _, account, items in prepared:
                    account.discard(items)
                return _no(problem)
        commits = [(place, account.commit(items)) for place, account, items in prepared if items]
        delivered = [place for place, _, items in prepared if not items]
        committed += len(delivered)
        failed: list[Place] = []
        for place, commit in commits:
            try:
                await commit
                committed += 1
                delivered.append(place)
            except StoreProblem as problem:
                trouble = problem
                failed.append(place)
            except Exception as problem:
                log.exception("delivery.broken", id=id, account=place.address)
                trouble = StoreFailed(type(problem).__name__)
                failed.append(place)
        if failed:
            assert trouble is not None
            log.error("delivery.failed", id=id, accounts=[place.address for place in failed])
            if not committed:
                return _no(trouble)
            try:
                for place in failed:
                    sent = tuple(one.envelope.id for one in taking.parcels if one.account == place.address)
                    parcel = self._owed(taking, place, sent)
                    await self._queue.commit(await self._queue.prepare(parcel.envelope, parcel.prefix, parcel.content))
            except StoreProblem as problem:
                # Some have it, some can't: the sender tries again, and a second copy is better than none.
                return _no(problem)
        for place in failed:
            await self._placing.remember(place, kept=False)
        return await self._done(taking, delivered, taking.parcels)

    async def _done(self, taking: Taking, delivered: list[Place], parcels: list[Parcel]) -> Reply:
        """Everything is safe: write it down, confirm what was asked for, and say so."""
        envelope, content = taking.envelope, taking.message.content
        tell(self._trace, taking, delivered, parcels)
        for place in delivered:
            await self._placing.remember(place, kept=False)
            await self._placing.remember(place, kept=True)
        if self.bouncer is not None and envelope.sender is not None:
            confirmed = [place.recipient for place in delivered if place.recipient.notify and place.plan.keeps]
            if confirmed:
                header = content.header(65536)
                try:
                    await self.bouncer.confirm_local(envelope, header, list(dict.fromkeys(confirmed)), self._clock())
                except StoreProblem as problem:
                    # The message is here: to say otherwise would bring it a second time.
                    log.error("delivery.not_confirmed", id=envelope.id, problem=problem.detail)
        return Reply(250, "2.0.0", f"Ok: queued as {envelope.id}")


def _one_line(reason: str) -> str:
    """A person's words in an SMTP reply, which is ASCII without SMTPUTF8."""
    text = " ".join(reason.split())[:300]
    return text if text and text.isascii() and text.isprintable() else "The recipient does not want this message"


def _no(problem: StoreProblem) -> Reply:
    log.error("delivery.refused", problem=problem.detail or type(problem).__name__)
    if isinstance(problem, NoSpace):
        return Reply(452, "4.3.1", "The server's disk is full; try again later")
    return Reply(451, "4.3.0", "The message can't be stored now; try again later")
