"""The step after the final dot. Rule: 250 only when every recipient is in a mailbox or in the queue, flushed; else 4xx."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mailstack.delivery.bounce import Bouncer
from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, Recipient, new_id
from mailstack.message.header import first, split_header
from mailstack.message.srs import forward
from mailstack.message.trace import return_path
from mailstack.policy.judgement import Judgement, evidence
from mailstack.policy.routing import Local, Remote, Router
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.errors import NoSpace, StoreFailed, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage, Prepared
from mailstack.store.queue.queue import PreparedQueued, Queue
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.wire.smtp import Reply

log = get_logger()
NONE: Mapping[str, Judgement] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Place:
    """A mailbox that gets a copy."""

    account: AccountRecord
    recipient: Recipient
    unique: str
    judgement: Judgement | None = None


class Acceptor:
    """One for the server."""

    def __init__(
        self,
        router: Router,
        directory: Directory,
        mailboxes: Mailboxes,
        queue: Queue,
        trace: Trace,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._router = router
        self._directory = directory
        self._mailboxes = mailboxes
        self._queue = queue
        self._trace = trace
        self._clock = clock
        self._random = randomness
        self.bouncer: Bouncer | None = None

    async def accept(
        self, transaction: Transaction, content: Content, prefix: bytes, judgements: Mapping[str, Judgement] = NONE
    ) -> Reply:
        """Take a message over. `judgements` by account. Never raises for trouble with the disk."""
        parameters = transaction.parameters
        envelope = Envelope(
            id=transaction.id,
            sender=transaction.sender,
            recipients=tuple(recipient for recipient, _ in transaction.recipients),
            received=transaction.received,
            ret=parameters.ret,
            envelope_id=parameters.envelope_id,
            smtputf8=parameters.smtputf8,
            body=parameters.body,
            account=transaction.account.address if transaction.account else None,
        )
        places: dict[str, _Place] = {}
        remote: list[Recipient] = []
        forwarded: list[Recipient] = []
        for recipient, routes in transaction.recipients:
            for route in routes:
                if isinstance(route, Local):
                    unique = f"{envelope.id}.{len(places)}"
                    judgement = judgements.get(route.account.address)
                    places.setdefault(route.account.address, _Place(route.account, recipient, unique, judgement))
                elif isinstance(route, Remote):
                    target = replace(recipient, address=route.address) if route.address != recipient.address else recipient
                    (forwarded if route.forwarded else remote).append(target)
        parcels = await self._parcels(envelope, remote, forwarded)
        return await self._take_over(envelope, content, prefix, list(places.values()), parcels)

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """A notice of our own: routed and taken over like any other. Raises StoreProblem when it can't be kept."""
        recipient = envelope.recipients[0]
        routes = await self._router.route(recipient.address)
        places = [
            _Place(route.account, recipient, f"{envelope.id}.{number}")
            for number, route in enumerate(routes)
            if isinstance(route, Local)
        ]
        remote = [replace(recipient, address=route.address) for route in routes if isinstance(route, Remote)]
        if not places and not remote:
            log.warning("bounce.undeliverable", id=envelope.id, to=str(recipient.address))
            return
        parcels = [replace(envelope, recipients=tuple(remote))] if remote else []
        reply = await self._take_over(envelope, content, b"", places, parcels)
        if not reply.positive:
            raise StoreProblem(reply.text)

    async def _parcels(self, envelope: Envelope, remote: list[Recipient], forwarded: list[Recipient]) -> list[Envelope]:
        """What goes into the queue: forwarded mail leaves with a sender of ours, so that SPF holds and bounces come back."""
        parcels = []
        if remote:
            parcels.append(replace(envelope, recipients=tuple(dict.fromkeys(remote))))
        if forwarded:
            sender = envelope.sender
            if sender is not None and not await self._directory.is_local_domain(sender.domain):
                sender = forward(sender, await self._domain(envelope), self._router.srs_secret, int(self._clock() // 86400))
            id = new_id(self._clock(), self._random) if remote else envelope.id
            others = envelope.account is None and not envelope.own
            to = tuple(dict.fromkeys(forwarded))
            parcels.append(replace(envelope, id=id, sender=sender, recipients=to, forwarded=others))
        return parcels

    async def _domain(self, envelope: Envelope) -> str:
        """The domain in whose name a message is forwarded: that of its first recipient here."""
        local = await self._directory.domains()
        return next((one.address.domain for one in envelope.recipients if one.address.domain in local), min(local))

    async def _take_over(
        self, envelope: Envelope, content: Content, prefix: bytes, places: list[_Place], parcels: list[Envelope]
    ) -> Reply:
        if len(places) == 1 and not parcels:
            # Nothing else must be safe first: written and named in one go.
            try:
                account = await self._mailboxes.account(self._directory.folder(places[0].account))
                await account.append("INBOX", _message(envelope, content, prefix, places[0]))
            except StoreProblem as problem:
                return _no(problem)
            return await self._done(envelope, prefix, content, places, [])
        prepared: list[tuple[_Place, Account, Prepared]] = []
        owed: list[_Place] = []
        queued: list[PreparedQueued] = []
        cause = StoreProblem()
        try:
            results = await asyncio.gather(*(self._prepare(envelope, content, prefix, place) for place in places))
            for place, result in zip(places, results, strict=True):
                if isinstance(result, StoreProblem):
                    log.error("delivery.not_now", id=envelope.id, account=place.account.address, problem=result.detail)
                    owed.append(place)
                    cause = result
                else:
                    prepared.append((place, *result))
            if owed:
                if len(owed) == len(places) and not parcels:
                    raise cause
                parcels = [*parcels, self._owed(envelope, owed)]
            alone = not prepared and len(parcels) == 1
            for parcel in parcels:
                queued.append(await self._queue.prepare(parcel, prefix, content, alone=alone))
        except StoreProblem as problem:
            for _, account, item in prepared:
                account.discard([item])
            for waiting in queued:
                self._queue.discard(waiting)
            return _no(problem)
        return await self._commit(envelope, content, prefix, prepared, queued)

    async def _prepare(
        self, envelope: Envelope, content: Content, prefix: bytes, place: _Place
    ) -> tuple[Account, Prepared] | StoreProblem:
        try:
            account = await self._mailboxes.account(self._directory.folder(place.account))
            return account, await account.prepare("INBOX", _message(envelope, content, prefix, place))
        except StoreProblem as problem:
            return problem

    def _owed(self, envelope: Envelope, places: list[_Place]) -> Envelope:
        """What mailboxes here are owed by the queue."""
        recipients = tuple(replace(place.recipient, address=Address(*_split(place.account.address))) for place in places)
        return replace(envelope, id=new_id(self._clock(), self._random), recipients=recipients)

    async def _commit(
        self,
        envelope: Envelope,
        content: Content,
        prefix: bytes,
        prepared: list[tuple[_Place, Account, Prepared]],
        queued: list[PreparedQueued],
    ) -> Reply:
        """The queue first, then the mailboxes; what fails after the first commit is owed by the queue."""
        committed = len(queued)
        trouble: StoreProblem | None = None
        if queued:
            try:
                await self._queue.commit(*queued)
            except StoreProblem as problem:
                for _, account, item in prepared:
                    account.discard([item])
                return _no(problem)
        commits = [account.commit([item]) for _, account, item in prepared]
        failed: list[_Place] = []
        for (place, _, _), commit in zip(prepared, commits, strict=True):
            try:
                await commit
                committed += 1
            except StoreProblem as problem:
                trouble = problem
                failed.append(place)
            except Exception as problem:
                log.exception("delivery.broken", id=envelope.id, account=place.account.address)
                trouble = StoreFailed(type(problem).__name__)
                failed.append(place)
        if failed:
            assert trouble is not None
            log.error("delivery.failed", id=envelope.id, accounts=[place.account.address for place in failed])
            if not committed:
                return _no(trouble)
            try:
                await self._queue.commit(await self._queue.prepare(self._owed(envelope, failed), prefix, content))
            except StoreProblem as problem:
                # Some have it, some can't: the sender tries again, and a second copy is better than none.
                return _no(problem)
        delivered = [place for place, _, _ in prepared if place not in failed]
        return await self._done(envelope, prefix, content, delivered, [waiting.envelope for waiting in queued])

    async def _done(
        self, envelope: Envelope, prefix: bytes, content: Content, delivered: list[_Place], parcels: list[Envelope]
    ) -> Reply:
        """Everything is safe: write it down, confirm what was asked for, and say so."""
        self._tell(envelope, prefix, content, delivered, parcels)
        if self.bouncer is not None and envelope.sender is not None:
            confirmed = [place.recipient for place in delivered if place.recipient.notify]
            if confirmed:
                header, _ = split_header(content.head(65536))
                try:
                    await self.bouncer.confirm_local(envelope, header, list(dict.fromkeys(confirmed)), self._clock())
                except StoreProblem as problem:
                    # The message is here: to say otherwise would bring it a second time.
                    log.error("delivery.not_confirmed", id=envelope.id, problem=problem.detail)
        return Reply(250, "2.0.0", f"Ok: queued as {envelope.id}")

    def _tell(
        self, envelope: Envelope, prefix: bytes, content: Content, delivered: list[_Place], parcels: list[Envelope]
    ) -> None:
        # An attempt may have been made before this is written down.
        at = envelope.received
        header, _ = split_header(prefix + content.head(16384))
        message_id = (first(header, b"message-id") or b"").decode("ascii", "replace")[:300]
        sender = str(envelope.sender) if envelope.sender is not None else None
        to = [str(one.address) for one in envelope.recipients]
        log.info("message.accepted", id=envelope.id, sender=sender, to=to, size=content.size, queued=len(parcels))
        self._trace.record(envelope.id, "accepted", at, sender=sender, to=to, message_id=message_id, size=content.size)
        for place in delivered:
            self._trace.record(envelope.id, "delivered", to=place.account.address, mailbox="INBOX")
        for parcel in parcels:
            other = parcel.id if parcel.id != envelope.id else None
            self._trace.record(envelope.id, "queued", at, to=[str(one.address) for one in parcel.recipients], queued_as=other)


def _message(envelope: Envelope, content: Content, prefix: bytes, place: _Place) -> NewMessage:
    found = evidence(place.judgement) if place.judgement is not None else b""
    return NewMessage(content, return_path(envelope.sender) + prefix + found, unique=place.unique, fresh=True)


def _split(key: str) -> tuple[str, str]:
    local, _, domain = key.rpartition("@")
    return local, domain


def _no(problem: StoreProblem) -> Reply:
    log.error("delivery.refused", problem=problem.detail or type(problem).__name__)
    if isinstance(problem, NoSpace):
        return Reply(452, "4.3.1", "The server's disk is full; try again later")
    return Reply(451, "4.3.0", "The message can't be stored now; try again later")
