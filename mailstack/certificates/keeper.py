"""Certificates from an authority: which are there, which are due, and one attempt at a time for those that are."""

import asyncio
from collections.abc import Sequence
from typing import Any

from cryptography import x509

from mailstack.certificates.around import Around
from mailstack.certificates.attempt import Attempt
from mailstack.certificates.files import State
from mailstack.certificates.names import Wanted
from mailstack.certificates.renewal import Renewal
from mailstack.certificates.schedule import WAITS
from mailstack.certificates.settings import AcmeSettings
from mailstack.log import get_logger
from mailstack.net.tls import names_of
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended

log = get_logger()
LOOK_SECONDS = 600.0  # between two looks at what is due; DNS and domains may have changed
FIRST_SECONDS = 60.0  # the same, until the host has its first certificate: somebody waits for the DNS
RETIRED_SECONDS = 21 * 86400.0  # with less left a certificate is put away of which no name leads here any more


class Keeper:
    """start(), then stop(). `settings` may change."""

    def __init__(self, settings: AcmeSettings, around: Around) -> None:
        self.settings = settings
        self._around = around
        self._files = around.files
        self._renewal = Renewal(around)
        self._not_before: dict[str, float] = {}  # by the name of the certificate
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._elsewhere: dict[str, str] = {}  # told already
        self.wanted: list[Wanted] = []

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    def look_soon(self) -> None:
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except StoreProblem as problem:
                log.error("tls.store_failed", problem=problem.detail)
            except Exception:
                log.exception("tls.look_failed")
            try:
                async with asyncio.timeout(LOOK_SECONDS if await self._has_first() else FIRST_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _has_first(self) -> bool:
        return not self.wanted or await asyncio.to_thread(self._files.certificate, self.wanted[0].name) is not None

    async def look(self, *, now: bool = False, name: str | None = None) -> None:
        """Ask for what is due. `now`: for everything, or for the certificate of one name, whatever was decided before."""
        async with self._turn:
            self.wanted = await self._around.names.wanted(self.settings)
            self._tell_elsewhere()
            for wanted in self.wanted:
                if name is None or name == wanted.name or name in wanted.names:
                    await self._look_at(wanted, now=now)

    async def status(self) -> list[dict[str, Any]]:
        """A row a name: `state` is served, waits (for a first certificate), refused, or elsewhere."""
        if not self.wanted:
            self.wanted = await self._around.names.wanted(self.settings)
        rows: list[dict[str, Any]] = []
        for wanted in self.wanted:
            state = await asyncio.to_thread(self._files.state, wanted.name)
            certificate = await asyncio.to_thread(self._files.certificate, wanted.name)
            rows += [_row(name, wanted.name, state, certificate) for name in wanted.names]
            elsewhere = {"state": "elsewhere", "certificate": wanted.name}
            rows += [{"name": name, **elsewhere, "problem": why} for name, why in wanted.elsewhere.items()]
        return rows

    def _tell_elsewhere(self) -> None:
        """Once, and again when it is another reason."""
        found = {name: problem for wanted in self.wanted for name, problem in wanted.elsewhere.items()}
        for name, problem in found.items():
            if self._elsewhere.get(name) != problem:
                log.info("tls.name_elsewhere", name=name, problem=problem)
        self._elsewhere = found

    async def _look_at(self, wanted: Wanted, *, now: bool) -> None:
        clock = self._around.clock
        state = await asyncio.to_thread(self._files.state, wanted.name)
        certificate = await asyncio.to_thread(self._files.certificate, wanted.name)
        names = [name for name in wanted.names if now or name not in state.refused or state.refused[name].until <= clock()]
        if not names:
            await self._retire(wanted, certificate)
            return
        if certificate is not None and not now:
            state = await self._renewal.asked(self.settings, wanted.name, certificate, state)
        not_before = max(state.next_attempt, self._not_before.get(wanted.name, 0.0))
        if not now and (clock() < not_before or not self._is_due(certificate, names, state)):
            return
        # What can't be noted on disk is known here: an authority is not asked without end.
        self._not_before[wanted.name] = clock() + WAITS[0]
        await Attempt(self.settings, self._around).attempt(wanted.name, names, state, certificate)

    async def _retire(self, wanted: Wanted, certificate: x509.Certificate | None) -> None:
        """What nobody asks for here is not renewed, and its end is no alarm."""
        if wanted.names or certificate is None:
            return
        if certificate.not_valid_after_utc.timestamp() - self._around.clock() < RETIRED_SECONDS:
            await asyncio.to_thread(self._files.retire, wanted.name)
            log.info("tls.certificate_retired", name=wanted.name, names=names_of(certificate), why=wanted.elsewhere)
            await self._around.changed()

    def _is_due(self, certificate: x509.Certificate | None, names: Sequence[str], state: State) -> bool:
        if certificate is None or not set(names) <= set(names_of(certificate)):
            return True
        return state.renew_at is None or self._around.clock() >= state.renew_at


def _row(name: str, certificate_name: str, state: State, certificate: x509.Certificate | None) -> dict[str, Any]:
    has = certificate is not None and name in names_of(certificate)
    refused = state.refused.get(name)
    return {
        "name": name,
        "state": "served" if has else "refused" if refused is not None else "waits",
        "certificate": certificate_name,
        "not_after": certificate.not_valid_after_utc.timestamp() if has and certificate is not None else None,
        "renew_at": state.renew_at if has else None,
        "next_attempt": state.next_attempt if state.failures else refused.until if refused is not None else None,
        "failures": state.failures,
        "problem": refused.reason if refused is not None else state.problem,
    }
