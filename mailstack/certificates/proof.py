"""What is really served: handshakes with this server's own listeners, compared with what should be served."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from mailstack.log import get_logger
from mailstack.net.handshake import HandshakeProblem, Listener, shown
from mailstack.net.tls import Chains, TlsProblem, names_of
from mailstack.store.tasks import ended

log = get_logger()
DAY = 86400.0
LOOK_SECONDS = DAY / 2
SETTLED_SECONDS = 10.0  # after the start: it has other things to do first
AT_ONCE = 4  # handshakes
MANY = 400  # from so many on, each certificate is looked at under one of its names everywhere but at https
THRESHOLDS = (20, 7, 2)  # days


@dataclass(frozen=True, slots=True)
class Served:
    """What one listener shows who asks for a name (None: for none). `problem`: None where it is what it should be."""

    listener: Listener
    name: str | None
    certificate: x509.Certificate | None
    problem: str | None

    def row(self, now: float) -> dict[str, Any]:
        found = self.certificate
        ends = found.not_valid_after_utc.timestamp() if found is not None else None
        return {
            "listener": str(self.listener),
            "name": self.name,
            "names": " ".join(names_of(found)) if found is not None else None,
            "issuer": issuer_of(found) if found is not None else None,
            "not_after": ends,
            "days": int((ends - now) // DAY) if ends is not None else None,
            "state": "right" if self.problem is None else "wrong",
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Expiring:
    """A certificate that is served and will soon be over. `days`: the threshold that it has passed."""

    names: tuple[str, ...]
    issuer: str
    not_after: float
    days: int


class Proof:
    """start(), then stop(). `wanted` reads what should be served from where it is kept; it blocks, and raises TlsProblem.

    `before` is done first: what this server makes itself is made anew in time. Those in
    `on_expiring` hear of each certificate once a threshold.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        served: Callable[[], Chains],
        wanted: Callable[[], Chains],
        before: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._listeners = listeners
        self._served = served
        self._wanted = wanted
        self._before = before
        self._clock = clock
        self._turn = asyncio.Lock()
        self._soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told: set[tuple[bytes, int]] = set()
        self.on_expiring: list[Callable[[Expiring], Awaitable[None]]] = []
        self.found: list[Served] = []
        self.looked_at: float | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    def look_soon(self) -> None:
        self._soon.set()

    async def _run(self) -> None:
        wait = SETTLED_SECONDS
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            wait = LOOK_SECONDS
            try:
                await self.look()
            except Exception:
                log.exception("tls.proof_failed")

    async def look(self) -> list[Served]:
        """Shake hands everywhere, say what was found, and warn of what ends."""
        async with self._turn:
            await self._before()
            try:
                wanted = await asyncio.to_thread(self._wanted)
            except TlsProblem as problem:
                log.warning("tls.files_unusable", problem=str(problem))
                wanted = self._served()
            asked = questions(self._listeners, wanted)
            slots = asyncio.Semaphore(AT_ONCE)
            self.found = list(await asyncio.gather(*(_look(slots, *one, wanted) for one in asked)))
            self.looked_at = self._clock()
        wrong = [one for one in self.found if one.problem is not None]
        for one in wrong:
            log.error("tls.served_wrong", listener=str(one.listener), name=one.name, problem=one.problem)
        log.info("tls.served", handshakes=len(self.found), right=len(self.found) - len(wrong), wrong=len(wrong))
        await self._warn()
        return self.found

    def rows(self) -> list[dict[str, Any]]:
        """What was found last, for people."""
        return [one.row(self._clock()) for one in self.found]

    async def _warn(self) -> None:
        """Of the certificates that are served, not of files."""
        seen = {one.certificate for one in self.found if one.certificate is not None}
        for certificate in seen:
            days = passed(certificate, self._clock())
            serial = certificate.fingerprint(SHA256())
            if days is None or (serial, days) in self._told:
                continue
            self._told.add((serial, days))
            expiring = Expiring(
                names_of(certificate), issuer_of(certificate), certificate.not_valid_after_utc.timestamp(), days
            )
            log.warning("tls.expires_soon", names=expiring.names, issuer=expiring.issuer, days=days)
            for tell in self.on_expiring:
                await tell(expiring)


def passed(certificate: x509.Certificate, now: float) -> int | None:
    """The last threshold that a certificate has passed; one with a short life is renewed later than 20 days before its end."""
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    fitting = [days for days in THRESHOLDS if ends - begins > 3 * days * DAY]
    return min((days for days in fitting if ends - now <= days * DAY), default=None)


def issuer_of(certificate: x509.Certificate) -> str:
    """For people."""
    if certificate.issuer == certificate.subject:
        return "itself"
    kinds = (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
    parts = [str(one.value) for kind in kinds for one in certificate.issuer.get_attributes_for_oid(kind)]
    return " ".join(parts) or certificate.issuer.rfc4514_string()


def questions(listeners: Sequence[Listener], wanted: Chains) -> list[tuple[Listener, str | None]]:
    """Which names to ask for at which listener."""
    names = list(dict.fromkeys(name for chain in wanted.all for name in map(_one_name, chain.names)))
    firsts = list(dict.fromkeys(_one_name(chain.names[0]) for chain in wanted.all if chain.names))
    many = len(names) * len(listeners) > MANY
    return list(
        itertools.chain.from_iterable(
            ((one, name) for name in (None, *(firsts if many and one.service != "https" else names))) for one in listeners
        )
    )


def _one_name(name: str) -> str:
    """A host that a name with a wildcard stands for."""
    return f"mailstack-proof.{name[2:]}" if name.startswith("*.") else name


async def _look(slots: asyncio.Semaphore, listener: Listener, name: str | None, wanted: Chains) -> Served:
    async with slots:
        try:
            certificate = x509.load_der_x509_certificate(await _shown(listener, name))
        except (HandshakeProblem, ValueError) as problem:
            return Served(listener, name, None, str(problem))
    expected = wanted.of(name).leaf
    if certificate == expected:
        return Served(listener, name, certificate, None)
    until = expected.not_valid_after_utc.date().isoformat()
    return Served(listener, name, certificate, f"it should be the one of {issuer_of(expected)} that is good until {until}")


async def _shown(listener: Listener, name: str | None) -> bytes:
    """A machine that is busy may fail once."""
    try:
        return await shown(listener, name)
    except HandshakeProblem:
        return await shown(listener, name)
