"""What receivers will find of a message that leaves, asked of the DNS and kept for some minutes."""

import asyncio

from mailstack.delivery.signing import Signer
from mailstack.mailauth.dkim import publishes
from mailstack.mailauth.dmarc import walk
from mailstack.mailauth.questions import Question
from mailstack.message.envelope import Envelope
from mailstack.message.header import addresses, every
from mailstack.net.dns import Resolver
from mailstack.policy.alignment import Standing, Unaligned, author_policy, check
from mailstack.policy.asking import Asking
from mailstack.policy.suffixes import Suffixes

KEPT_SECONDS = 600.0
KEPT = 1000
ASK_SECONDS = 5.0


class Alignment:
    """One for the server. What can't be asked in a few seconds counts as good: mail is never late because of it."""

    def __init__(self, resolver: Resolver, suffixes: Suffixes, signer: Signer, hostname: str) -> None:
        self._resolver = resolver
        self._suffixes = suffixes
        self._signer = signer
        self._hostname = hostname
        self._known: dict[tuple[str, str | None, str], tuple[float, Unaligned | None]] = {}
        self._turns: dict[tuple[str, str | None, str], asyncio.Lock] = {}

    def forget(self) -> None:
        self._known.clear()

    async def judge(self, envelope: Envelope, header: bytes, signing: str | None) -> Unaligned | None:
        """Why a message that is ours will fail DMARC. What others wrote is not judged: their signature may hold."""
        if envelope.account is None and not envelope.own:
            return None
        found = [one.address for value in every(header, b"from") for one in addresses(value)]
        authors = {address.domain for address in found if address is not None}
        if len(authors) != 1:
            return Unaligned("this will fail DMARC, because From names several domains, or none", obeyed=False)
        sender = envelope.sender.domain if envelope.sender is not None else self._hostname
        return await self._of(authors.pop(), signing, sender)

    async def _of(self, author: str, signing: str | None, sender: str) -> Unaligned | None:
        key, now = (author, signing, sender), asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        # A queue full of one domain's mail asks once, not once a message.
        async with self._turns.setdefault(key, asyncio.Lock()):
            known = self._known.get(key)
            if known is None or now >= known[0]:
                if len(self._known) >= KEPT:
                    self._known.clear()
                known = (now + KEPT_SECONDS, check(await self._standing(author, signing, sender)))
                self._known[key] = known
            self._turns.pop(key, None)
        return known[1]

    async def _standing(self, author: str, signing: str | None, sender: str) -> Standing:
        asking = Asking(self._resolver, ASK_SECONDS)
        published, (spf,), found = await asyncio.gather(
            self._published(signing, asking) if signing is not None else _nothing(),
            asking.all((Question(sender),)),
            asking.drive(walk(author)),
        )
        await self._suffixes.ready()
        policy = author_policy(found, self._suffixes.is_public)
        has_spf = any(text.lower().startswith("v=spf1") for text in spf.values)
        return Standing(author, signing, published, sender, None if spf.trouble else has_spf, policy)

    async def _published(self, domain: str, asking: Asking) -> bool | None:
        """Whether at least one of the keys that sign has its record."""
        keys = self._signer.keys(domain)
        answers = await asking.all(tuple(Question(f"{key.selector}._domainkey.{domain}") for key in keys))
        if any(publishes(text, key) for key, answer in zip(keys, answers, strict=True) for text in answer.values):
            return True
        return None if any(answer.trouble for answer in answers) else False


async def _nothing() -> None:
    """No question."""
