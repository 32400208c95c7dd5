"""Sending, and what became of it. A message goes the way of submission: same rights, same limits, same promise."""

import asyncio
import datetime
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from starlette.requests import Request

from mailstack.delivery.accept import Acceptor
from mailstack.delivery.rejects import Rejects
from mailstack.door.handing import hand_over
from mailstack.message.address import Address, parse_address
from mailstack.message.composing import Attachment, Composed, Draft, compose
from mailstack.message.envelope import Recipient, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import first
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Verdict
from mailstack.store.content import Content
from mailstack.store.trace import Trace
from mailstack.store.users.api_tokens import KEPT_SECONDS, ApiTokens, SentBefore
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.web.api.endpoint import ApiProblem, Call, Endpoint, Parameter, parse, read_body
from mailstack.web.api.shapes import Accepted, MessageIn, MessageState, RecipientState
from mailstack.wire.smtp import MailParameters, Reply

HEADER_SEEN = 65536
KEY_LIMIT = 200  # characters of Idempotency-Key
STATES = {"delivered": "delivered", "deferred": "deferred", "failed": "failed", "discarded": "delivered"}


@dataclass(frozen=True, slots=True)
class Submitting:
    """What a message goes through, as door/handing.py asks for it."""

    hostname: str
    policy: SubmissionPolicy
    acceptor: Acceptor
    trace: Trace
    spool: Path
    directory: Directory
    tokens: ApiTokens
    clock: Callable[[], float]
    randomness: random.Random
    rejects: Rejects | None = None


class Messages:
    """`size`: of the largest message, in octets."""

    def __init__(self, submitting: Submitting, size: int) -> None:
        self._has = submitting
        self.size = size
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()  # one goes with its last user

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "POST",
                "/messages",
                "Send a message: JSON, or as message/rfc822 with its envelope in the query",
                self.send,
                202,
                MessageIn,
                Accepted,
                admin=False,
                limit=None,
                also_takes="message/rfc822",
                parameters=(
                    Parameter("Idempotency-Key", "header", "A second try within a day sends nothing, and has the same answer"),
                    Parameter("from", "query", "With message/rfc822: the sender"),
                    Parameter("to", "query", "With message/rfc822: those who get it", many=True),
                ),
            ),
            Endpoint("GET", "/messages/{id}", "What became of a message", self.state, gives=MessageState, admin=False),
        ]

    async def send(self, call: Call) -> tuple[int, Any]:
        """202 is said only when no power cut could take it back."""
        request = call.request
        raw = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "message/rfc822"
        data = await read_body(request, self.size if raw else 2 * self.size)
        key = request.headers.get("idempotency-key", "")
        if len(key) > KEY_LIMIT:
            raise ApiProblem(400, f"Idempotency-Key has more than {KEY_LIMIT} characters")
        if not key:
            return 202, await self._send(call, data, raw=raw)
        asked = hashlib.sha256(data + request.url.query.encode()).hexdigest()
        async with self._turns.setdefault((call.token.digest, key), asyncio.Lock()):
            before = await self._before(call, key, asked, data if raw else b"")
            if before is not None:
                return 202, before
            accepted = await self._send(call, data, raw=raw)
            await self._has.tokens.keep(call.token, key, SentBefore(asked, accepted.id), self._has.clock())
            return 202, accepted

    async def _send(self, call: Call, data: bytes, *, raw: bool) -> Accepted:
        now = self._has.clock()
        id = new_id(now, self._has.randomness)
        composed = self._identified(_raw(call.request, data), id) if raw else self._compose(parse(data, MessageIn), id, now)
        if len(composed.data) > self.size:
            raise ApiProblem(413, f"messages may have up to {self.size} octets")
        await self._submit(call, composed, id, now)
        return Accepted(id, self._message_id(composed.data, id))

    def _identified(self, composed: Composed, id: str) -> Composed:
        """With a Message-ID, which the answer tells."""
        if first(composed.data[:HEADER_SEEN], b"message-id") is not None:
            return composed
        return replace(composed, data=f"Message-ID: {self._message_id(b'', id)}\r\n".encode() + composed.data)

    def _message_id(self, data: bytes, id: str) -> str:
        """Its own; else the one that it got here."""
        found = first(data[:HEADER_SEEN], b"message-id")
        return found.decode("ascii", "replace") if found else f"<{id}@{self._has.hostname}>"

    async def _before(self, call: Call, key: str, asked: str, data: bytes) -> Accepted | None:
        before = await self._has.tokens.sent(call.token, key, self._has.clock() - KEPT_SECONDS)
        if before is None:
            return None
        if before.body != asked:
            raise ApiProblem(422, "this Idempotency-Key was used for another message")
        return Accepted(before.id, self._message_id(data, before.id))

    def _compose(self, message: MessageIn, id: str, now: float) -> Composed:
        draft = Draft(
            sender=message.sender,
            to=tuple(message.to),
            cc=tuple(message.cc),
            bcc=tuple(message.bcc),
            reply_to=tuple(message.reply_to),
            subject=message.subject,
            text=message.text,
            html=message.html,
            headers=tuple(message.headers.items()),
            attachments=tuple(Attachment(one.filename, one.content, one.type, one.content_id) for one in message.attachments),
        )
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        try:
            return compose(draft, moment, self._message_id(b"", id))
        except SyntaxProblem as problem:
            raise ApiProblem(422, problem.reason) from None

    async def _account(self, call: Call, sender: Address) -> AccountRecord:
        """In whose name: an admin sends for the account that the sender's address is."""
        if call.account is not None:
            return call.account
        found = (await self._has.directory.entry(sender.key)).account
        if found is None or found.disabled:
            raise ApiProblem(422, f"from: {sender} is no account here")
        return found

    async def _submit(self, call: Call, composed: Composed, id: str, now: float) -> None:
        has = self._has
        transaction = Transaction(
            id=id,
            peer=call.peer,
            helo="api",
            protocol="HTTP",
            tls="TLS" if call.request.scope["scheme"] == "https" else None,
            account=await self._account(call, composed.sender),
            received=now,
            sender=composed.sender,
            parameters=MailParameters(smtputf8=any(one.needs_smtputf8 for one in (composed.sender, *composed.recipients))),
        )
        _demand(await has.policy.sender(transaction))
        for address in composed.recipients:
            verdict, routes = await has.policy.recipient(transaction, address)
            _demand(verdict, str(address))
            transaction.recipients.append((Recipient(address), routes))
        content = Content.of(composed.data)
        try:
            reply = await hand_over(has, transaction, content)
        finally:
            content.close()
        if not reply.positive:
            raise _problem(reply)

    async def state(self, call: Call) -> tuple[int, Any]:
        events = await self._has.trace.find(call.part("id"))
        known: dict[str, Any] = {}
        recipients: dict[str, RecipientState] = {}
        for event in events:
            name, moment = event["event"], event["time"]
            if name in ("arrived", "accepted"):
                known = {**event, **known}
                for to in event.get("to") or []:
                    recipients.setdefault(to, RecipientState(to, "queued", moment))
            elif name in STATES and event.get("to"):
                to = event["to"]
                recipients[to] = RecipientState(to, STATES[name], moment, event.get("host"), event.get("reply"))
        if not known or (call.account is not None and known.get("account") != call.account.address):
            raise ApiProblem(404, "there is no such message")
        state = MessageState(
            known["id"],
            known["time"],
            known.get("sender"),
            known.get("subject"),
            known.get("message_id"),
            list(recipients.values()),
        )
        return 200, state


def _raw(request: Request, data: bytes) -> Composed:
    """A message as it is; sender and recipients stand in the query."""
    people = request.query_params.getlist("to")
    try:
        sender = parse_address(request.query_params.get("from", ""))
        recipients = {one.key: one for one in map(parse_address, people)}
    except SyntaxProblem as problem:
        raise ApiProblem(400, f"?from= and ?to= are addresses: {problem.reason}") from None
    if not recipients:
        raise ApiProblem(400, "?to= is missing")
    lines = data.replace(b"\r\n", b"\n")
    if b"\r" in lines or b"\0" in lines:
        raise ApiProblem(422, "a bare CR, or NUL, is in the message")
    return Composed(lines.replace(b"\n", b"\r\n"), sender, tuple(recipients.values()))


def _demand(verdict: Verdict, who: str = "") -> None:
    if not isinstance(verdict, Accept):
        raise _problem(verdict.reply, who)


def _problem(reply: Reply, who: str = "") -> ApiProblem:
    """RFC 9110: what may go well later, or not at all."""
    text = f"{who}: {reply.text}" if who else reply.text
    if reply.permanent:
        return ApiProblem(422, text, str(reply))
    later = 429 if reply.enhanced == "4.7.1" else 503
    return ApiProblem(later, text, str(reply), {"retry-after": "60"})
