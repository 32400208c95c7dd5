"""Certificates from an authority: which are there, which are due, and one attempt at a time for those that are."""

import asyncio
import importlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.certificates.ari import ASK_SECONDS, ask_again, certificate_id, parse_window, place
from mailstack.certificates.controls import ByHandshake, ByHttp, ByRecord, ControlProblem, Shown
from mailstack.certificates.files import Account, AcmeFiles, Refused, State
from mailstack.certificates.names import Names, Wanted
from mailstack.certificates.ordering import NameRefused, Ordering
from mailstack.certificates.schedule import renew_at, wait_after, within
from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.net.acme_values import AcmeProblem
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.net.tls import names_of
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended

if TYPE_CHECKING:
    from mailstack.net.acme import Acme

log = get_logger()
LOOK_SECONDS = 600.0  # between two looks at what is due; DNS and domains may have changed
FIRST_SECONDS = 60.0  # the same, until the host has its first certificate: somebody waits for the DNS
RETIRED_SECONDS = 21 * 86400.0  # with less left a certificate is put away of which no name leads here any more
REFUSED_SECONDS = 86400.0  # until a name is asked for again
WAYS = 2  # to show a name in one attempt
PASSING = ("connection", "timeout", "rateLimited", "serverInternal")  # an order may still come to its end


@dataclass(frozen=True, slots=True)
class Around:
    """What the keeper needs of the house. `changed` is called once another certificate is in place."""

    files: AcmeFiles
    names: Names
    by_http: ByHttp
    by_handshake: ByHandshake
    by_record: Callable[[AcmeSettings], ByRecord]
    changed: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    randomness: random.Random


class Keeper:
    """start(), then stop(). `settings` may change."""

    def __init__(self, settings: AcmeSettings, around: Around) -> None:
        self.settings = settings
        self._around = around
        self._files = around.files
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
            state = await self._ask_when(wanted.name, certificate, state)
        if not now and (clock() < state.next_attempt or not self._is_due(certificate, names, state)):
            return
        await self._attempt(wanted.name, names, state, certificate)

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

    # When --------------------------------------------------------------------------------------------------------------

    async def _ask_when(self, name: str, certificate: x509.Certificate, state: State) -> State:
        """What the authority suggests, where it does (RFC 9773)."""
        moment, chance = self._around.clock(), self._around.randomness.random()
        if state.renew_at is None:
            state = msgspec.structs.replace(state, renew_at=_renew_at(certificate, chance))
        elif moment < state.ask_at:
            return state
        seconds = ask_again("")
        try:
            seconds, start, end = await self._window(certificate)
        except (HttpProblem, SyntaxProblem) as problem:
            log.debug("tls.renewal_info_failed", name=name, problem=str(problem))
        else:
            if start is not None and end is not None and not start <= (state.renew_at or 0) <= end:
                chosen = min(within(start, end, chance), certificate.not_valid_after_utc.timestamp() - 86400)
                state = msgspec.structs.replace(state, renew_at=chosen)
                log.info("tls.renewal_suggested", name=name, renew_at=chosen)
        state = msgspec.structs.replace(state, ask_at=moment + seconds)
        await asyncio.to_thread(self._files.keep, name, state)
        return state

    async def _window(self, certificate: x509.Certificate) -> tuple[float, float | None, float | None]:
        """Seconds until it is to be asked again, and the window."""
        context = self.settings.context
        url = place((await ask(self.settings.directory, context, Asking())).body)
        id = certificate_id(certificate)
        if url is None or id is None:
            return ask_again(""), None, None
        answer = await ask(f"{url.rstrip('/')}/{id}", context, Asking())
        if answer.status != 200:
            raise HttpProblem(f"HTTP {answer.status}")
        window = parse_window(answer.body)
        return ask_again(answer.retry_after), window.start, window.end

    # One attempt -------------------------------------------------------------------------------------------------------

    async def _attempt(self, name: str, names: Sequence[str], state: State, certificate: x509.Certificate | None) -> None:
        settings, left = self.settings, list(names)
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
                    if not last or not others or name in refused.names:
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
        settings, files = self.settings, self._files
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
        directory, contact = self.settings.directory, self.settings.contact
        known = await asyncio.to_thread(self._files.account, directory)
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
                await asyncio.to_thread(self._files.keep_account, directory, Account(known.key, url))
            return Account(known.key, url)
        raise AssertionError

    async def _conversation(self, account: Account) -> "Acme":
        # It is large and slow to load, and a server asks nobody most of the time.
        await asyncio.to_thread(importlib.import_module, "mailstack.net.acme")
        from mailstack.net.acme import Acme

        settings = self.settings
        key = serialization.load_pem_private_key(account.key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Acme(settings.directory, key, settings.context, account.url, settings.binding)

    def _shown(self) -> Mapping[Control, Shown]:
        around = self._around
        return {
            Control.HTTP: around.by_http,
            Control.ALPN: around.by_handshake,
            Control.DNS: around.by_record(self.settings),
        }

    async def _succeeded(
        self, name: str, chain: bytes, key: ec.EllipticCurvePrivateKey, control: Control, state: State
    ) -> None:
        certificate = x509.load_pem_x509_certificate(chain)
        await asyncio.to_thread(self._files.install, name, key, chain, reuse=self.settings.reuse_key)
        moment = _renew_at(certificate, self._around.randomness.random())
        refused = {one: why for one, why in state.refused.items() if one not in names_of(certificate)}
        # Not at once: an authority in trouble would have each new one renewed.
        ask_at = self._around.clock() + ASK_SECONDS
        new = State(renew_at=moment, ask_at=ask_at, refused=refused, challenge=control)
        await asyncio.to_thread(self._files.keep, name, new)
        until = certificate.not_valid_after_utc.isoformat(timespec="seconds")
        log.info("tls.certificate_obtained", name=name, names=names_of(certificate), not_after=until, how=control)
        await self._around.changed()

    async def _failed(self, name: str, state: State, problem: Exception) -> None:
        failures, chance = state.failures + 1, self._around.randomness.random()
        limited = isinstance(problem, AcmeProblem) and problem.kind == "rateLimited"
        asked = problem.retry_after if isinstance(problem, AcmeProblem) else None
        wait = wait_after(failures, chance, limited=limited, retry_after=asked)
        kept = await asyncio.to_thread(self._files.state, name)
        moment = self._around.clock() + wait
        new = msgspec.structs.replace(kept, failures=failures, next_attempt=moment, problem=str(problem), refused=state.refused)
        await asyncio.to_thread(self._files.keep, name, new)
        log.warning("tls.order_failed", name=name, problem=str(problem), failures=failures, again_in=round(wait))


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


def _renew_at(certificate: x509.Certificate, chance: float) -> float:
    return renew_at(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp(), chance)
