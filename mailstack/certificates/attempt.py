"""One attempt to get a certificate: the ways to show its names one after the other, and what is noted of it."""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.certificates.ari import ASK_SECONDS, certificate_id
from mailstack.certificates.around import Around
from mailstack.certificates.controls import ControlProblem, Shown
from mailstack.certificates.files import Account, Refused, State
from mailstack.certificates.ordering import NameRefused, Ordering
from mailstack.certificates.renewal import moment_of
from mailstack.certificates.schedule import wait_after
from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.log import get_logger
from mailstack.net.acme_values import AcmeProblem
from mailstack.net.tls import names_of

if TYPE_CHECKING:
    from mailstack.net.acme import Acme

log = get_logger()
REFUSED_SECONDS = 86400.0  # until a name is asked for again
WAYS = 2  # to show a name in one attempt
PASSING = ("connection", "timeout", "rateLimited", "serverInternal")  # an order may still come to its end


@dataclass(frozen=True, slots=True)
class Attempt:
    _settings: AcmeSettings
    _around: Around

    async def attempt(self, name: str, names: Sequence[str], state: State, certificate: x509.Certificate | None) -> None:
        """What came of it is in place, and in the files. Raises StoreProblem."""
        settings, left = self._settings, list(names)
        controls = sorted(settings.controls, key=lambda one: one != state.challenge)[:WAYS]
        log.info("tls.ordering", name=name, names=left, directory=settings.directory)
        problem: Exception | None = None
        for control in controls:
            while left:
                try:
                    chain, key, state = await self._obtain(name, left, control, state, certificate)
                except NameRefused as refused:
                    problem, state = refused, msgspec.structs.replace(state, order=None)
                    log.warning("tls.name_refused", name=name, names=refused.names, how=control, problem=refused.reason)
                    others = [one for one in left if one not in refused.names]
                    last = control == controls[-1] or not refused.checked
                    # An authority may name what nobody asked for: then nothing is gained without it.
                    if not last or not others or len(others) == len(left) or name in refused.names:
                        break
                    state = self._without(state, refused)
                    left = others
                except (AcmeProblem, ControlProblem) as trouble:
                    problem = trouble
                    break
                else:
                    await self._succeeded(name, chain, key, control, state)
                    return
            if isinstance(problem, AcmeProblem):
                break  # another way would not help
        if problem is None:
            problem = ControlProblem("there is no way to show it: it needs listen.http, listen.https, or dns-01")
        await self._failed(name, state, problem)

    def _without(self, state: State, refused: NameRefused) -> State:
        until = self._around.clock() + REFUSED_SECONDS
        more = {one: Refused(until, refused.reason) for one in refused.names}
        return msgspec.structs.replace(state, refused=state.refused | more)

    async def _obtain(
        self, name: str, names: Sequence[str], control: Control, state: State, certificate: x509.Certificate | None
    ) -> tuple[bytes, ec.EllipticCurvePrivateKey, State]:
        settings, files = self._settings, self._around.files
        held = [state]

        async def keep(url: str | None) -> None:
            held[0] = msgspec.structs.replace(held[0], order=url, names=list(names))
            await asyncio.to_thread(files.keep, name, held[0])

        account = await self._account()
        key = await asyncio.to_thread(files.key, name, reuse=settings.reuse_key)
        async with await self._conversation(account) as acme:
            replaces = None
            if certificate is not None and await acme.renewal_info() is not None:
                replaces = certificate_id(certificate)
            under_way = state.order if set(state.names) == set(names) else None
            ordering = Ordering(acme, self._shown(), keep)
            try:
                chain = await ordering.obtain(names, key, control, under_way, replaces)
                if certificate == x509.load_pem_x509_certificate(chain):
                    # The server stopped between putting it into place and writing that down.
                    chain = await ordering.obtain(names, key, control, None, replaces)
            except (AcmeProblem, NameRefused) as problem:
                if isinstance(problem, NameRefused) or problem.kind not in PASSING:
                    await keep(None)
                raise
        return chain, key, held[0]

    async def _account(self) -> Account:
        """Registered; anew, with the same key, where the authority knows it no more."""
        directory, contact = self._settings.directory, self._settings.contact
        known = await asyncio.to_thread(self._around.files.account, directory)
        for account in (known, Account(known.key)):
            try:
                async with await self._conversation(account) as acme:
                    url = await acme.account(contact)
            except AcmeProblem as problem:
                if account.url is None or problem.kind != "accountDoesNotExist":
                    raise
                log.warning("tls.account_forgotten", directory=directory, account=account.url)
                continue
            if url != known.url:
                await asyncio.to_thread(self._around.files.keep_account, directory, Account(known.key, url))
            return Account(known.key, url)
        raise AssertionError

    async def _conversation(self, account: Account) -> "Acme":
        # It is large and slow to load, and a server asks nobody most of the time.
        await asyncio.to_thread(importlib.import_module, "mailstack.net.acme")
        from mailstack.net.acme import Acme

        settings = self._settings
        key = serialization.load_pem_private_key(account.key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Acme(settings.directory, key, settings.context, account.url, settings.binding)

    def _shown(self) -> Mapping[Control, Shown]:
        around = self._around
        return {
            Control.HTTP: around.by_http,
            Control.ALPN: around.by_handshake,
            Control.DNS: around.by_record(self._settings),
        }

    async def _succeeded(
        self, name: str, chain: bytes, key: ec.EllipticCurvePrivateKey, control: Control, state: State
    ) -> None:
        certificate = x509.load_pem_x509_certificate(chain)
        await asyncio.to_thread(self._around.files.install, name, key, chain, reuse=self._settings.reuse_key)
        moment = moment_of(certificate, self._around.randomness.random())
        refused = {one: why for one, why in state.refused.items() if one not in names_of(certificate)}
        # Not at once: an authority in trouble would have each new one renewed.
        ask_at = self._around.clock() + ASK_SECONDS
        new = State(renew_at=moment, ask_at=ask_at, refused=refused, challenge=control)
        await asyncio.to_thread(self._around.files.keep, name, new)
        until = certificate.not_valid_after_utc.isoformat(timespec="seconds")
        log.info("tls.certificate_obtained", name=name, names=names_of(certificate), not_after=until, how=control)
        await self._around.changed()

    async def _failed(self, name: str, state: State, problem: Exception) -> None:
        failures, chance = state.failures + 1, self._around.randomness.random()
        limited = isinstance(problem, AcmeProblem) and problem.kind == "rateLimited"
        asked = problem.retry_after if isinstance(problem, AcmeProblem) else None
        wait = wait_after(failures, chance, limited=limited, retry_after=asked)
        kept = await asyncio.to_thread(self._around.files.state, name)
        moment = self._around.clock() + wait
        new = msgspec.structs.replace(kept, failures=failures, next_attempt=moment, problem=str(problem), refused=state.refused)
        await asyncio.to_thread(self._around.files.keep, name, new)
        log.warning("tls.order_failed", name=name, problem=str(problem), failures=failures, again_in=round(wait))
