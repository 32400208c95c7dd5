"""Where an arriving message comes from: every method is asked, within one deadline (RFC 8601).

The evaluations are in `mailauth/`; what they ask of the DNS is answered here. What isn't answered in time is temperror.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from mailstack.mailauth import dmarc
from mailstack.mailauth.arc import Chain, read_chain
from mailstack.mailauth.canon import BodyHash, Canon
from mailstack.mailauth.dkim_verify import Signature, body_hashes, signatures
from mailstack.mailauth.questions import Answer, Question
from mailstack.mailauth.results import Arc, Authentication, Dkim
from mailstack.mailauth.signed import Fields
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses, every
from mailstack.net.dns import Resolver
from mailstack.policy.asking import Asking
from mailstack.policy.sending_host import SendingHost
from mailstack.policy.suffixes import Suffixes
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content

HEADER_LIMIT = 1 << 20
SECONDS = 6.0  # for everything that is asked about one message
IN_A_THREAD = 65536  # octets of a message that are not hashed on the event loop
MAX_AUTHORS = 4  # domains in From that are judged
MAX_FROM = 4  # fields of that name that are read, and how many octets of each: nobody sees more as the author
FROM_LIMIT = 8192
MANY = 8  # signatures that are not verified on the event loop


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

    def __init__(
        self, resolver: Resolver, suffixes: Suffixes, hostname: str, clock: Callable[[], float], seconds: float = SECONDS
    ) -> None:
        self._resolver = resolver
        self._host = SendingHost(resolver, hostname, seconds)
        self._clock = clock
        self._seconds = seconds
        self._suffixes = suffixes

    async def judge(self, transaction: Transaction, content: Content) -> Authentication:
        """Raises OSError when the spool can't be read."""
        asking = Asking(self._resolver, self._seconds)
        big = content.descriptor is not None or content.size > IN_A_THREAD
        examined = await asyncio.to_thread(_examine, content) if big else _examine(content)
        walks = [(walk, next(walk)) for walk in map(dmarc.walk, examined.authors)]
        keys = examined.questions
        host = self._host.kept(transaction)
        if missing := asking.missing(dict.fromkeys(chain(keys, *(questions for _, questions in walks)))):
            waiting = asking.all(tuple(missing))
            if host is None:
                host, _ = await asyncio.gather(self._host.ask(transaction, asking), waiting)
            else:
                await waiting
        if host is None:
            host = await self._host.ask(transaction, asking)
        answers = await asking.all(keys)
        found = [await asking.drive(walk, questions) for walk, questions in walks]
        # RFC 7208 2.4: the null sender is postmaster at the name in HELO.
        spf = host.spf or host.helo
        known = dict(zip(keys, answers, strict=True))
        now = self._clock()
        slow = big or examined.count > MANY
        dkim, arc = await asyncio.to_thread(examined.judge, known, now) if slow else examined.judge(known, now)
        await self._suffixes.ready()
        results = [await asking.drive(dmarc.evaluate(one, spf, dkim, self._suffixes.is_public)) for one in found]
        return Authentication(host.iprev, spf, host.helo, dkim, dmarc.worst(results), arc)


def _examine(content: Content) -> _Examined:
    """Read the header and hash the body; from a thread where it is big."""
    header = content.header(HEADER_LIMIT)
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
