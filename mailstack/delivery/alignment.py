"""What receivers will find of a message that leaves, asked of the DNS and kept for some minutes."""

import asyncio

from mailstack.delivery.signing import Signer
from mailstack.mailauth.dkim import publishes
from mailstack.message.envelope import Envelope
from mailstack.message.header import addresses, every
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.policy.alignment import Standing, Unaligned, author_policy, check

KEPT_SECONDS = 600.0
KEPT = 1000
ASK_SECONDS = 5.0


class Alignment:
    """One for the server. What can't be asked in a few seconds counts as good: mail is never late because of it."""

    def __init__(self, resolver: Resolver, signer: Signer, hostname: str) -> None:
        self._resolver = resolver
        self._signer = signer
        self._hostname = hostname
        self._known: dict[tuple[str, str | None, str], tuple[float, Unaligned | None]] = {}

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
        if len(self._known) >= KEPT:
            self._known.clear()
        found = check(await self._standing(author, signing, sender))
        self._known[key] = (now + KEPT_SECONDS, found)
        return found

    async def _standing(self, author: str, signing: str | None, sender: str) -> Standing:
        published, spf, record = await asyncio.gather(
            self._published(signing) if signing is not None else _nothing(),
            self._first(sender, "v=spf1"),
            self._policy(author),
        )
        return Standing(author, signing, published, sender, None if spf is None else bool(spf), author_policy(record))

    async def _published(self, domain: str) -> bool | None:
        """Whether at least one of the keys that sign has its record."""
        keys = self._signer.keys(domain)
        asked = (self._texts(f"{key.selector}._domainkey.{domain}") for key in keys)
        answers = await asyncio.gather(*asked)
        if any(answer and any(publishes(text, key) for text in answer) for key, answer in zip(keys, answers, strict=True)):
            return True
        return None if None in answers else False

    async def _policy(self, author: str) -> str | None:
        """The DMARC record of a domain, or of the one above it that has one."""
        domain = author
        while "." in domain:
            found = await self._first(f"_dmarc.{domain}", "v=DMARC1")
            if found or found is None:
                return found
            domain = domain.partition(".")[2]
        return None

    async def _first(self, name: str, sign: str) -> str | None:
        """The record that begins so, "" where there is none, None where nobody answers."""
        texts = await self._texts(name)
        if texts is None:
            return None
        return next((text for text in texts if text.lower().startswith(sign.lower())), "")

    async def _texts(self, name: str) -> list[str] | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._resolver.txt(name)
        except NoSuchDomain:
            return []
        except (DnsTemporary, TimeoutError):
            return None


async def _nothing() -> None:
    """No question."""
