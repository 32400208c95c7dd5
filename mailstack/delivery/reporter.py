"""What all reports to other domains have in common: about which days, in whose name, and into the queue."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Envelope, Notify, Recipient, TlsWish, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import NoSuchDomain, Resolver
from mailstack.store.content import Content
from mailstack.store.transport import DAY

DAYS_BACK = 3  # days that are made up for

Submit = Callable[[Envelope, Content], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reporter:
    """One for the server. `sender`: who is asked when a report is strange; None where there is nobody yet."""

    resolver: Resolver
    submit: Submit
    sender: Callable[[], Awaitable[Address | None]]
    hostname: str
    clock: Callable[[], float]
    randomness: random.Random

    def days(self) -> range:
        """The last days that are over, since the epoch."""
        today = int(self.clock() // DAY)
        return range(today - DAYS_BACK, today)

    def new_id(self) -> str:
        return new_id(self.clock(), self.randomness)

    async def texts(self, name: str) -> list[str]:
        """TXT records; empty where there are none. Raises DnsTemporary."""
        try:
            return await self.resolver.txt(name)
        except NoSuchDomain:
            return []

    async def mail(self, id: str, to: Address, data: bytes, tls: TlsWish = TlsWish.POLICY) -> None:
        """Into the queue, without a sender: nothing comes back. Raises StoreProblem."""
        envelope = Envelope(id, None, (Recipient(to, Notify.NEVER),), self.clock(), own=True, tls=tls)
        await self.submit(envelope, Content.of(data))


def readable(text: str) -> Address | None:
    """An address of a record's; None for what is none."""
    try:
        return parse_address(text)
    except SyntaxProblem:
        return None
