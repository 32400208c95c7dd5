"""Where an arriving message comes from: every method is asked, within one deadline (RFC 8601).

The evaluations are in `mailauth/`; what they ask of the DNS is answered here. What isn't answered in time is temperror.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mailstack.mailauth import dmarc
from mailstack.mailauth.arc import Chain, read_chain
from mailstack.mailauth.canon import BodyHash, Canon
from mailstack.mailauth.dkim_verify import Signature, body_hashes, signatures
from mailstack.mailauth.questions import Answer, Evaluation, Question
from mailstack.mailauth.results import Arc, Authentication, Dkim, Iprev, Result, Spf
from mailstack.mailauth.signed import Fields
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses, every, split_header
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.iprev import iprev
from mailstack.net.spf import check_host
from mailstack.policy.suffixes import Suffixes
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content

HEADER_LIMIT = 1 << 20
SECONDS = 6.0  # for everything that is asked about one message
AT_ONCE = 16  # questions about one message that are under way
IN_A_THREAD = 65536  # octets of a message that are not hashed on the event loop
MAX_AUTHORS = 4  # domains in From that are judged
MAX_FROM = 4  # fields of that name that are read, and how many octets of each: nobody sees more as the author
FROM_LIMIT = 8192
MANY = 8  # signatures that are not verified on the event loop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Examined:
    """What the message itself says, before anybody is asked."""

    fields: Fields
    signatures: list[Signature | Dkim]
    chain: Chain | Arc
    bodies: dict[Canon, BodyHash]
    authors: tuple[str, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        keys = [one.question for one in self.signatures if isinstance(one, Signature)]
        chain = self.chain.questions if isinstance(self.chain, Chain) else ()
        return tuple(dict.fromkeys([*keys, *chain]))

    @property
    def count(self) -> int:
        """How many signatures there are to verify."""
        return len(self.signatures) + (2 * len(self.chain.sets) if isinstance(self.chain, Chain) else 0)

    def judge(self, answers: dict[Question, Answer], now: float) -> tuple[tuple[Dkim, ...], Arc]:
        signed = tuple(
            one.judge(self.fields, self.bodies, answers[one.question], now) if isinstance(one, Signature) else one
            for one in self.signatures
        )
        if isinstance(self.chain, Chain):
            return signed, self.chain.judge(self.fields, self.bodies, answers, now)
        return signed, self.chain


class Authenticator:
    """One for the server."""

    def __init__(self, resolver: Resolver, hostname: str, clock: Callable[[], float], seconds: float = SECONDS) -> None:
        self._resolver = resolver
        self._hostname = hostname
        self._clock = clock
        self._seconds = seconds
        self._suffixes = Suffixes()

    async def judge(self, transaction: Transaction, content: Content) -> Authentication:
        """Raises OSError when the spool can't be read."""
        asked = _Asked(self._resolver, self._seconds)
        big = content.descriptor is not None or content.size > IN_A_THREAD
        examined = await asyncio.to_thread(_examine, content) if big else _examine(content)
        who, spf, helo, answers, walks = await asyncio.gather(
            self._iprev(transaction, asked),
            self._spf(transaction, asked),
            self._helo(transaction, asked),
            asked.all(examined.questions),
            asyncio.gather(*(asked.drive(dmarc.walk(domain)) for domain in examined.authors)),
        )
        # RFC 7208 2.4: the null sender is postmaster at the name in HELO.
        spf = spf or helo
        known = dict(zip(examined.questions, answers, strict=True))
        now = self._clock()
        slow = big or examined.count > MANY
        dkim, arc = await asyncio.to_thread(examined.judge, known, now) if slow else examined.judge(known, now)
        await self._suffixes.ready()
        results = [await asked.drive(dmarc.evaluate(found, spf, dkim, self._suffixes.is_public)) for found in walks]
        return Authentication(who, spf, helo, dkim, dmarc.worst(results), arc)

    async def _iprev(self, transaction: Transaction, asked: "_Asked") -> Iprev:
        peer = transaction.peer
        if not transaction.peer_known or not _is_address(peer):
            return Iprev(address=peer)
        late = Iprev(Result.TEMPERROR, peer, reason="no answer in time")
        return await asked.in_time(iprev(self._resolver, peer), late)

    async def _spf(self, transaction: Transaction, asked: "_Asked") -> Spf | None:
        if transaction.sender is None:
            return None
        return await self._check(transaction, str(transaction.sender), transaction.sender.domain, asked)

    async def _helo(self, transaction: Transaction, asked: "_Asked") -> Spf:
        """RFC 7208 2.3."""
        try:
            domain = normalise_domain(transaction.helo.rstrip("."))
        except SyntaxProblem:
            return Spf()
        return await self._check(transaction, f"postmaster@{domain}", domain, asked)

    async def _check(self, transaction: Transaction, sender: str, domain: str, asked: "_Asked") -> Spf:
        if not transaction.peer_known or not _is_address(transaction.peer) or domain.startswith("[") or "." not in domain:
            return Spf(domain="" if domain.startswith("[") else domain)
        late = Spf(Result.TEMPERROR, domain, "no answer in time")
        check = check_host(self._resolver, transaction.peer, sender, transaction.helo, self._hostname, seconds=self._seconds)
        return await asked.in_time(check, late)


class _Asked:
    """The questions about one message: few at once, each one once, and none after the deadline."""

    def __init__(self, resolver: Resolver, seconds: float) -> None:
        self._resolver = resolver
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._known: dict[Question, Answer] = {}

    async def in_time(self, asking: Awaitable[T], late: T) -> T:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asking
        except TimeoutError:
            return late

    async def drive(self, evaluation: Evaluation[T]) -> T:
        """Answer an evaluation's questions until it comes to its value."""
        try:
            questions = next(evaluation)
            while True:
                questions = evaluation.send(await self.all(questions))
        except StopIteration as end:
            value: T = end.value
            return value

    async def all(self, questions: tuple[Question, ...]) -> tuple[Answer, ...]:
        missing = [question for question in questions if question not in self._known]
        if len(missing) == 1:
            self._known[missing[0]] = await self._answer(missing[0])
        elif missing:
            answers = await asyncio.gather(*(self._answer(question) for question in missing))
            self._known.update(zip(missing, answers, strict=True))
        return tuple(self._known[question] for question in questions)

    async def _answer(self, question: Question) -> Answer:
        async with self._turns:
            return await self.in_time(self._ask(question), Answer(trouble=True))

    async def _ask(self, question: Question) -> Answer:
        try:
            return Answer(tuple(await self._resolver.plain(question.name, question.kind)))
        except NoSuchDomain:
            return Answer()
        except DnsTemporary:
            return Answer(trouble=True)


def _examine(content: Content) -> _Examined:
    """Read the header and hash the body; from a thread where it is big."""
    header, _ = split_header(content.head(HEADER_LIMIT))
    fields = Fields(header)
    found, chain = signatures(fields), read_chain(fields)
    signed = [one for one in found if isinstance(one, Signature)]
    bodies = body_hashes(signed + (chain.signatures if isinstance(chain, Chain) else []))
    if bodies:
        for block in content.chunks(start=len(header)):
            for body in bodies.values():
                body.update(block)
    return _Examined(fields, found, chain, bodies, _authors(header))


def _authors(header: bytes) -> tuple[str, ...]:
    """The first domains in From, of all fields of that name."""
    found: dict[str, None] = {}
    for value in every(header, b"from")[:MAX_FROM]:
        for one in addresses(value[:FROM_LIMIT]):
            try:
                domain = normalise_domain(one.domain.strip().rstrip("."))
            except SyntaxProblem:
                continue
            if not domain.startswith("["):
                found[domain] = None
    return tuple(found)[:MAX_AUTHORS]


def _is_address(peer: str) -> bool:
    return peer != "local"
