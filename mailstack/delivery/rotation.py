"""Rotation of DKIM keys: a new key signs once its record is seen in the DNS, and the old one's record stays for a while.

Rule: a message never leaves with a signature that its receiver can't look up because of a rotation.
"""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mailstack.delivery.signing import Signer, new_keys, usable
from mailstack.log import get_logger
from mailstack.mailauth.dkim import SigningKey, dns_record, publishes
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.looking import patience
from mailstack.store.dkim_keys import KeyEntry, KeyState, KeyStore
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended

log = get_logger()
LOOK_SECONDS = 600.0


class Seen(enum.StrEnum):
    """What the DNS says of a key's record."""

    RIGHT = "right"
    OTHER = "other"  # there is a record, with another key
    MISSING = "missing"
    UNKNOWN = "unknown"  # the DNS gave no answer


@dataclass(frozen=True, slots=True)
class KeyLook:
    """A key, the record that it needs, and what is found there."""

    entry: KeyEntry
    key: SigningKey
    seen: Seen

    @property
    def name(self) -> str:
        return f"{self.key.selector}._domainkey.{self.key.domain}"

    @property
    def record(self) -> str:
        return dns_record(self.key)


class RotationRefused(Exception):
    """Why a key can't be made or retired; for the admin."""


class Rotation:
    """One for the server; start() looks after the keys until stop(). `overlap`: seconds that a retired key's record stays."""

    def __init__(self, store: KeyStore, signer: Signer, resolver: Resolver, clock: Callable[[], float], overlap: float) -> None:
        self._store = store
        self._signer = signer
        self._resolver = resolver
        self._clock = clock
        self.overlap = overlap
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            try:
                for domain in await asyncio.to_thread(self._store.domains):
                    await self.advance(domain)
            except StoreProblem as problem:
                log.error("dkim.keys_unreadable", problem=problem.detail)
            except Exception:
                log.exception("dkim.rotation_failed")
            await asyncio.sleep(LOOK_SECONDS)

    async def rotate(self, domain: str) -> None:
        """Make a new pair of keys that waits for its records. Raises RotationRefused while another pair waits."""
        async with self._turn:
            entries = await asyncio.to_thread(self._store.entries, domain)
            waiting = [entry.selector for entry in entries if entry.state is KeyState.WAITING]
            if waiting:
                raise RotationRefused(f"{' and '.join(waiting)} of {domain} still wait for their records")
            now = self._clock()
            stamp = datetime.fromtimestamp(now, UTC).strftime("%Ym%m")
            keys = await asyncio.to_thread(new_keys, domain, stamp, [entry.selector for entry in entries])
            await asyncio.to_thread(self._store.add, domain, keys, KeyState.WAITING, now)
            log.info("dkim.keys_made", domain=domain, selectors=sorted(keys))

    async def retire(self, domain: str, selector: str, *, at_once: bool = False) -> None:
        """Sign no more with a key; `at_once`: forget it too. Raises RotationRefused where none would be left."""
        async with self._turn:
            entries = await asyncio.to_thread(self._store.entries, domain)
            entry = next((one for one in entries if one.selector == selector), None)
            if entry is None:
                raise RotationRefused(f"{domain} has no key {selector}")
            signing = [one.selector for one in entries if one.state is KeyState.SIGNING]
            if signing == [selector] and not at_once:
                raise RotationRefused(f"{selector} is the only key of {domain} that signs; make others: mailstack dkim rotate")
            now = self._clock()
            if at_once or entry.state is KeyState.WAITING:
                await asyncio.to_thread(self._store.remove, domain, selector)
            else:
                retired = {selector: (KeyState.RETIRED, now + self.overlap)}
                await asyncio.to_thread(self._store.change, domain, retired, now)
            self._signer.forget()
            log.info("dkim.key_retired", domain=domain, selector=selector, removed=at_once)

    async def keys(self, domain: str) -> list[tuple[KeyEntry, SigningKey]]:
        """The keys of a domain, without a look at the DNS."""
        entries = await asyncio.to_thread(self._store.entries, domain)
        return [(entry, key) for entry in entries if (key := usable(domain, entry)) is not None]

    async def look(self, domain: str) -> list[KeyLook]:
        """The keys of a domain, and whether their records are there."""
        keys = await self.keys(domain)
        found = await asyncio.gather(*(self._seen(key) for _, key in keys))
        return [KeyLook(entry, key, seen) for (entry, key), seen in zip(keys, found, strict=True)]

    async def _seen(self, key: SigningKey) -> Seen:
        try:
            async with asyncio.timeout(patience(self._resolver)):
                records = await self._resolver.txt(f"{key.selector}._domainkey.{key.domain}")
        except NoSuchDomain:
            return Seen.MISSING
        except (DnsTemporary, TimeoutError):
            return Seen.UNKNOWN
        return Seen.RIGHT if any(publishes(record, key) for record in records) else Seen.OTHER

    async def advance(self, domain: str) -> None:
        """Let waiting keys sign whose records are there, retire those that they follow, and forget what is over."""
        async with self._turn:
            entries = await asyncio.to_thread(self._store.entries, domain)
            now = self._clock()
            over = [one.selector for one in entries if one.state is KeyState.RETIRED and (one.until or 0.0) <= now]
            for selector in over:
                await asyncio.to_thread(self._store.remove, domain, selector)
                log.info("dkim.record_no_longer_needed", domain=domain, name=f"{selector}._domainkey.{domain}")
            if not any(one.state is KeyState.WAITING for one in entries):
                return
            await self._promote(domain, await self.look(domain), now)

    async def _promote(self, domain: str, looks: list[KeyLook], now: float) -> None:
        ready = [one for one in looks if one.entry.state is KeyState.WAITING and one.seen is Seen.RIGHT]
        kinds = {one.key.algorithm for one in ready}
        followed = [one for one in looks if one.entry.state is KeyState.SIGNING and one.key.algorithm in kinds]
        changes: dict[str, tuple[KeyState, float | None]] = {
            one.entry.selector: (KeyState.RETIRED, now + self.overlap) for one in followed
        }
        changes |= {one.entry.selector: (KeyState.SIGNING, None) for one in ready}
        if changes:
            await asyncio.to_thread(self._store.change, domain, changes, now)
            self._signer.forget()
            log.info(
                "dkim.rotated",
                domain=domain,
                signing=[one.entry.selector for one in ready],
                retired=[one.entry.selector for one in followed],
            )
