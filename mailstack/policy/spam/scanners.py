"""rspamd and ClamAV as judges, where an admin names them. Without their answer a message is judged without them."""

import asyncio
import ssl
from dataclasses import dataclass

from mailstack.log import get_logger
from mailstack.net import clamd, rspamd
from mailstack.net.clamd import ClamdProblem
from mailstack.net.http import HttpProblem
from mailstack.net.rspamd import RspamdQuestion
from mailstack.policy.judgement import LOOKED_THROUGH, Finding
from mailstack.policy.spam.outside import Opinion
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Reject, defer
from mailstack.store.content import Content
from mailstack.wire.smtp import Reply

LARGEST = 20 << 20  # octets that rspamd is sent
MOST = 15.0  # what its word weighs at most, either way
BLOCK = 65536
log = get_logger()


@dataclass(frozen=True, slots=True)
class Rspamd:
    """Its score, scaled so that what it would mark goes into Junk."""

    url: str
    context: ssl.SSLContext
    junk: float
    seconds: float
    factor: float = 1.0

    async def ask(self, transaction: Transaction, content: Content) -> Opinion:
        if content.size > LARGEST:
            return Opinion((Finding("rspamd", 0.0, "not asked: the message is too large"),))
        known = transaction.authentication
        question = RspamdQuestion(
            peer=transaction.peer,
            helo=transaction.helo,
            sender=str(transaction.sender) if transaction.sender is not None else "",
            recipients=[str(recipient.address) for recipient, _ in transaction.recipients[:50]],
            id=transaction.id,
            name=known.iprev.name if known is not None else None,
        )
        try:
            async with asyncio.timeout(self.seconds):
                message = await asyncio.to_thread(content.bytes)
                found = await rspamd.check(self.url, self.context, message, question)
        except (HttpProblem, TimeoutError) as found_problem:
            problem = str(found_problem) or "it took too long"
            log.warning("spam.rspamd_failed", id=transaction.id, problem=problem)
            return Opinion((Finding("rspamd", 0.0, f"no answer: {problem}"),))
        weight = min(max(found.score / found.threshold * self.junk * self.factor, -MOST), MOST)
        symbols = ", ".join(f"{name} {score:g}" for name, score in found.symbols)
        return Opinion((Finding("rspamd", weight, f"{found.score:g} of {found.threshold:g}, {found.action}: {symbols}"),))


@dataclass(frozen=True, slots=True)
class Clamd:
    """What it finds is refused, and never kept. `defers`: what can't be looked through is for later."""

    address: str
    seconds: float
    defers: bool

    async def ask(self, transaction: Transaction, content: Content) -> Opinion:
        try:
            found = await clamd.scan(self.address, content.chunks(BLOCK), self.seconds)
        except ClamdProblem as problem:
            log.warning("spam.clamd_failed", id=transaction.id, problem=str(problem))
            verdict = defer(451, "4.7.1", "The message can't be looked through now; try again later", "clamd")
            evidence = (Finding("clamd-failed", 0.0, f"no answer: {problem}"),)
            return Opinion(evidence, verdict) if self.defers else Opinion(evidence)
        if found is None:
            return Opinion((Finding(LOOKED_THROUGH, 0.0, "found nothing"),))
        name = "".join(character if " " < character <= "~" else "?" for character in found)[:80]
        log.info("spam.virus", id=transaction.id, virus=name, peer=transaction.peer)
        reply = Reply(550, "5.7.1", f"The message holds a virus: {name} ({transaction.id})")
        return Opinion((Finding("clamd", 0.0, f"found {name}"),), Reject(reply, "virus"))
