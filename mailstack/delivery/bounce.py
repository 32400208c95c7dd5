"""Telling the sender: failures, delays and, where asked for, successes (RFC 3461, RFC 3464). The null sender is never told."""

import random
from collections.abc import Awaitable, Callable

from mailstack.delivery.outcome import Delivered, Failed, Outcome
from mailstack.log import get_logger
from mailstack.message.envelope import Envelope, Notify, Recipient, Return, TlsWish, new_id
from mailstack.message.header import split_header
from mailstack.message.report import Action, RecipientReport, delivery_status
from mailstack.store.content import Content
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace

log = get_logger()
FULL_LIMIT = 1 << 20  # larger messages come back as their header alone

Submit = Callable[[Envelope, Content], Awaitable[None]]


def wants(recipient: Recipient, kind: Notify) -> bool:
    """Whether the sender wants this kind of notice; without NOTIFY it is failures and delays (RFC 3461 4.1)."""
    if recipient.notify is None:
        return kind is not Notify.SUCCESS
    return kind in recipient.notify


class Bouncer:
    """`submit` takes a notice over as any other message: durably, or it raises."""

    def __init__(self, queue: Queue, hostname: str, submit: Submit, randomness: random.Random, trace: Trace) -> None:
        self._queue = queue
        self._hostname = hostname
        self._submit = submit
        self._random = randomness
        self._trace = trace

    async def tell(self, queued: Queued, told: list[tuple[Recipient, Outcome]], now: float) -> None:
        """What is final for these recipients."""
        failed: list[RecipientReport] = []
        arrived: list[RecipientReport] = []
        for recipient, outcome in told:
            if isinstance(outcome, Failed):
                if wants(recipient, Notify.FAILURE):
                    failed.append(_report(recipient, outcome, Action.FAILED))
            elif isinstance(outcome, Delivered) and wants(recipient, Notify.SUCCESS) and not outcome.confirms:
                arrived.append(_report(recipient, outcome, Action.DELIVERED if outcome.final else Action.RELAYED))
        if failed:
            await self._send(queued, failed, now)
        for action in (Action.DELIVERED, Action.RELAYED):
            some = [one for one in arrived if one.action is action]
            if some:
                await self._send(queued, some, now)

    async def tell_delay(self, queued: Queued, late: list[tuple[Recipient, Outcome]], now: float, until: float) -> None:
        reports = [
            _report(recipient, outcome, Action.DELAYED, until) for recipient, outcome in late if wants(recipient, Notify.DELAY)
        ]
        if reports:
            await self._send(queued, reports, now)

    async def _send(self, queued: Queued, reports: list[RecipientReport], now: float) -> None:
        envelope = queued.envelope
        if envelope.sender is None:
            log.warning("bounce.dropped", id=envelope.id, to=[str(one.address) for one in reports], reply=reports[0].text)
            return
        header, _ = split_header(await self._queue.read_header(queued))
        # RFC 8689 5: no words of such a message go back, and its notice wants TLS as well.
        required = envelope.tls is TlsWish.REQUIRED
        give_back = (
            not required
            and envelope.ret is not Return.HEADERS
            and reports[0].action is Action.FAILED
            and queued.size <= FULL_LIMIT
        )
        original = await self._queue.read(queued) if give_back else None
        await self._report(envelope, header, original, reports, now)

    async def _report(
        self, envelope: Envelope, header: bytes, original: bytes | None, reports: list[RecipientReport], now: float
    ) -> None:
        assert envelope.sender is not None
        id = new_id(now, self._random)
        data = delivery_status(
            id=id,
            host=self._hostname,
            sender=envelope.sender,
            recipients=reports,
            moment=now,
            arrived=envelope.received,
            envelope_id=envelope.envelope_id,
            original_header=header,
            original=original,
            about=envelope.id,
        )
        notice = Envelope(
            id=id,
            sender=None,
            recipients=(Recipient(envelope.sender, Notify.NEVER),),
            received=now,
            smtputf8=envelope.smtputf8 or not data.isascii(),
            own=True,
            tls=TlsWish.REQUIRED if envelope.tls is TlsWish.REQUIRED else TlsWish.POLICY,
        )
        log.info("bounce.sent", id=id, about=envelope.id, to=str(envelope.sender), action=reports[0].action.value)
        await self._submit(notice, Content.of(data))
        action = reports[0].action.value
        self._trace.record(envelope.id, "bounced", to=str(envelope.sender), notice=id, action=action)

    async def confirm_local(self, envelope: Envelope, header: bytes, recipients: list[Recipient], now: float) -> None:
        """NOTIFY=SUCCESS for what went into mailboxes without the queue."""
        wanted = [one for one in recipients if wants(one, Notify.SUCCESS)]
        if wanted and envelope.sender is not None:
            reports = [RecipientReport(one.address, Action.DELIVERED, "2.1.5", "", one.original) for one in wanted]
            await self._report(envelope, header, None, reports, now)


def _report(recipient: Recipient, outcome: Outcome, action: Action, until: float | None = None) -> RecipientReport:
    reply = outcome.reply
    status = reply.enhanced or f"{reply.code // 100}.0.0"
    if action is Action.FAILED and not status.startswith("5"):
        status = "5" + status[1:]
    text = str(reply) if outcome.host else reply.text
    return RecipientReport(recipient.address, action, status, text, recipient.original, outcome.host, until)
