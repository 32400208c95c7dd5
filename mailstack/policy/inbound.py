"""Mail from other hosts: for people here, and for nobody else."""

import re
from dataclasses import replace

from mailstack.message.address import Address
from mailstack.message.trace import count_received
from mailstack.policy.dmarc import Quarantine
from mailstack.policy.judgement import FORGEABLE, Finding, Judgement
from mailstack.policy.lists import Lists
from mailstack.policy.milters import Milters
from mailstack.policy.origin import Origins
from mailstack.policy.passing import Passing
from mailstack.policy.routing import Disabled, Local, Remote, Route, Router, ToList, Unknown
from mailstack.policy.spam.judge import Judge
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import YES, Accept, Defer, Reject, Verdict, defer, reject
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory

HEADER_LIMIT = 1 << 20
RECEIVED_LIMIT = 50
_SPAM_FIELD = re.compile(rb"\n(x-spam[a-z-]*)[ \t]*:", re.IGNORECASE)  # what FORGEABLE begins with


class Recipients:
    """Judges recipients; the same for both doors but for relaying."""

    def __init__(
        self, router: Router, directory: Directory, mailboxes: Mailboxes, limit: int, passing: Passing | None = None
    ) -> None:
        self.passing = passing
        self._router = router
        self._directory = directory
        self._mailboxes = mailboxes
        self.limit = limit
        self._lists = Lists(directory)

    async def judge(self, transaction: Transaction, address: Address) -> tuple[Verdict, tuple[Route, ...]]:
        """The verdict, and where the address leads."""
        if len(transaction.recipients) >= self.limit:
            return defer(452, "4.5.3", "Too many recipients; send the rest in another transaction", "recipients"), ()
        if transaction.account is None and self.passing is not None and (to := self.passing.get(address.domain)):
            verdict = await self.passing.judge(to, address)
            return verdict, (Remote(address),) if isinstance(verdict, Accept) else ()
        if transaction.account is None and not await self._router.is_local(address):
            # There is no list of trusted networks: relaying needs a login.
            return reject(550, "5.7.1", "Relaying needs a login", "relay"), ()
        routes = await self._router.route(address)
        if isinstance(routes[0], Unknown):
            return reject(550, "5.1.1", "There is no such mailbox here", "unknown"), ()
        if isinstance(routes[0], Disabled):
            return reject(550, "5.2.1", "That mailbox is switched off", "disabled"), ()
        for route in routes:
            if isinstance(route, ToList) and not await self._lists.may_post(route, transaction.sender, transaction.account):
                return reject(550, "5.7.1", f"You may not write to {route.mailing.address}", "list"), ()
            if isinstance(route, Local):
                verdict = await self._room(route, transaction.parameters.size or 0)
                if not isinstance(verdict, Accept):
                    return verdict, ()
        return YES, routes

    async def outside(self, routes: tuple[Route, ...]) -> int:
        """How many addresses elsewhere these routes lead to."""
        return await self._router.outside(routes)

    async def _room(self, route: Local, size: int) -> Verdict:
        folder = self._directory.folder(route.account)
        if folder.quota is None and folder.message_quota is None:
            return YES
        try:
            account = await self._mailboxes.account(folder)
            used = await account.usage()
        except StoreProblem:
            return defer(451, "4.3.0", "The mailbox can't be read now; try again later", "store")
        full = folder.message_quota is not None and used.messages >= folder.message_quota
        if full or (folder.quota is not None and used.octets + size > folder.quota):
            return defer(452, "4.2.2", "The mailbox is full", "quota")
        return YES


class InboundPolicy:
    """Port 25."""

    def __init__(
        self,
        recipients: Recipients,
        judge: Judge | None = None,
        origins: Origins | None = None,
        milters: Milters | None = None,
    ) -> None:
        self.milters = milters
        self.recipients = recipients
        self.judge = judge
        self.origins = origins

    async def sender(self, _: Transaction) -> Verdict:
        return YES

    async def recipient(self, transaction: Transaction, address: Address) -> tuple[Verdict, tuple[Route, ...]]:
        return await self.recipients.judge(transaction, address)

    async def body(self, transaction: Transaction, content: Content) -> Verdict:
        verdict = loop_verdict(content)
        if not isinstance(verdict, Accept):
            return verdict
        origin = await self.origins.look(transaction, content) if self.origins is not None else None
        if origin is not None and isinstance(origin.decision, Defer | Reject):
            return origin.decision
        shape = Accept(without=forged(content))
        if origin is not None:
            shape = replace(shape, top=origin.field, left_out=origin.forged)
        filtered = await self.milters.ask(transaction, content, shape) if self.milters is not None else None
        if isinstance(filtered, Defer | Reject):
            return filtered
        judged = await self.judge.judge(transaction, content, transaction.authentication) if self.judge is not None else YES
        if isinstance(judged, Reject):
            return replace(judged, top=shape.top)
        if not isinstance(judged, Accept):
            return judged
        judgements = judged.judgements
        if origin is not None and isinstance(origin.decision, Quarantine):
            reason = origin.decision.reason
            judgements = {account: quarantined(one, "dmarc-quarantine", reason) for account, one in judgements.items()}
        if filtered is None:
            return replace(shape, judgements=judgements)
        if filtered.quarantine is not None:
            everybody = {account: judgements.get(account, Judgement(0.0)) for account in accounts(transaction)}
            judgements = {
                account: quarantined(one, "milter-quarantine", filtered.quarantine) for account, one in everybody.items()
            }
        return filtered.into(replace(shape, judgements=judgements))


def accounts(transaction: Transaction) -> list[str]:
    """The addresses of those here that get it."""
    return [route.account.address for _, routes in transaction.recipients for route in routes if isinstance(route, Local)]


def quarantined(judgement: Judgement, rule: str, reason: str) -> Judgement:
    """Junk, whatever else was found: the owner of the domain in From wants it so, or a milter."""
    weight = max(judgement.required - judgement.score, 0.0)
    findings = (*judgement.findings, Finding(rule, weight, reason))
    return replace(judgement, score=judgement.score + weight, findings=findings, junk=True)


def forged(content: Content) -> frozenset[bytes]:
    """Fields that look like our own evidence."""
    header = content.header(HEADER_LIMIT)
    found = {name.lower() for name in _SPAM_FIELD.findall(b"\n" + header)}
    return FORGEABLE & found


def loop_verdict(content: Content) -> Verdict:
    """RFC 5321 6.3. A header that can't be seen whole is not judged at all."""
    header = content.header(HEADER_LIMIT)
    if len(header) >= HEADER_LIMIT and content.size > HEADER_LIMIT:
        return reject(552, "5.3.4", "The header is too large", "header")
    if count_received(header) > RECEIVED_LIMIT:
        return reject(554, "5.4.6", "The message goes round in circles", "loop")
    return YES
