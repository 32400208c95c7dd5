"""A whole message that somebody hands over, at whatever door: it is judged, taken over by delivery, and answered."""

import asyncio
import time
from pathlib import Path
from typing import Protocol

from mailstack.delivery.accept import Acceptor
from mailstack.delivery.rejects import Rejects
from mailstack.log import get_logger
from mailstack.message.header import first, remove_fields
from mailstack.message.trace import received_field
from mailstack.policy.inbound import HEADER_LIMIT, InboundPolicy
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Reject
from mailstack.store.content import Content
from mailstack.store.trace import Trace
from mailstack.wire.smtp import Reply

log = get_logger()
TRACED = 16384  # octets of the header in which the trace looks for its fields
DISK_FULL = Reply(452, "4.3.1", "The server's disk is full; try again later")


class Handing(Protocol):
    """What a door needs for it. `rejects`: where copies of what is refused by doubt are kept."""

    @property
    def hostname(self) -> str: ...
    @property
    def policy(self) -> InboundPolicy | SubmissionPolicy: ...
    @property
    def acceptor(self) -> Acceptor: ...
    @property
    def trace(self) -> Trace: ...
    @property
    def spool(self) -> Path: ...
    @property
    def rejects(self) -> Rejects | None: ...


async def hand_over(services: Handing, transaction: Transaction, content: Content) -> Reply:
    """The answer, in SMTP's words: 250 is said only when no power cut could take it back."""
    started = time.perf_counter()
    _arrived(services.trace, transaction, content)
    verdict = await services.policy.body(transaction, content)
    for account, judgement in verdict.judgements.items():
        services.trace.record(transaction.id, "judged", account=account, **judgement.fields())
    if not isinstance(verdict, Accept):
        sender = str(transaction.sender) if transaction.sender else None
        log.info("smtp.refused", id=transaction.id, peer=transaction.peer, sender=sender, reason=verdict.reason)
        services.trace.record(transaction.id, "refused", reason=verdict.reason, reply=str(verdict.reply))
        if isinstance(verdict, Reject) and verdict.kept and services.rejects is not None:
            head = verdict.top + _received(services.hostname, transaction)
            await services.rejects.keep(transaction, content, head, verdict.judgements, verdict.reply)
        return verdict.reply
    prefix = verdict.top + _received(services.hostname, transaction) + verdict.prefix
    cleaned = content
    if verdict.without or verdict.left_out or verdict.header is not None:
        loop = asyncio.get_running_loop()
        try:
            cleaned = await loop.run_in_executor(None, _without, content, verdict, services.spool)
        except OSError as problem:
            log.error("smtp.spool_failed", problem=str(problem))
            return DISK_FULL
    try:
        reply = await services.acceptor.accept(transaction, cleaned, prefix, verdict.judgements)
    finally:
        if cleaned is not content:
            cleaned.close()
    log.debug("smtp.judged", id=transaction.id, ms=round((time.perf_counter() - started) * 1000, 1), reply=str(reply))
    return reply


def _arrived(trace: Trace, transaction: Transaction, content: Content) -> None:
    """What is known of a message by itself, whatever comes of it."""
    header = content.header(TRACED)
    trace.record(
        transaction.id,
        "arrived",
        transaction.received,
        sender=str(transaction.sender) if transaction.sender else None,
        to=[str(recipient.address) for recipient, _ in transaction.recipients],
        peer=transaction.peer,
        helo=transaction.helo,
        protocol=transaction.protocol,
        tls=transaction.tls,
        account=transaction.account.address if transaction.account else None,
        subject=first(header, b"subject") or b"",
        message_id=(first(header, b"message-id") or b"").decode("ascii", "replace")[:300] or None,
        size=content.size,
    )


def _received(host: str, transaction: Transaction) -> bytes:
    recipients = transaction.recipients
    return received_field(
        helo=transaction.helo,
        peer=transaction.peer,
        peer_name=transaction.authentication.iprev.name if transaction.authentication is not None else None,
        host=host,
        protocol=transaction.protocol,
        id=transaction.id,
        moment=transaction.received,
        recipient=recipients[0][0].address if len(recipients) == 1 else None,
        tls=transaction.tls,
        # Where people send from is nobody's business (RFC 6409 8 leaves it open).
        show_peer=transaction.account is None,
    )


def _without(content: Content, verdict: Accept, spool: Path) -> Content:
    """The message without some header fields, or with another header; from a thread."""
    header = content.header(HEADER_LIMIT)
    cleaned = Content(spool)
    try:
        kept = verdict.header
        cleaned.write(remove_fields(header, verdict.without, verdict.left_out) if kept is None else kept)
        for block in content.chunks(start=len(header)):
            cleaned.write(block)
    except OSError:
        cleaned.close()
        raise
    return cleaned
