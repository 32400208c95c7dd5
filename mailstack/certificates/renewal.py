"""When a certificate is to be renewed: as its authority suggests, or when a third of its life is left."""

import asyncio
from dataclasses import dataclass

import msgspec
from cryptography import x509

from mailstack.certificates.ari import ask_again, certificate_id, parse_window, place
from mailstack.certificates.around import Around
from mailstack.certificates.files import State
from mailstack.certificates.schedule import renew_at, within
from mailstack.certificates.settings import AcmeSettings
from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.net.http import Asking, HttpProblem, ask

log = get_logger()


@dataclass(frozen=True, slots=True)
class Renewal:
    _around: Around

    async def asked(self, settings: AcmeSettings, name: str, certificate: x509.Certificate, state: State) -> State:
        """What the authority suggests, where it does (RFC 9773)."""
        moment, chance = self._around.clock(), self._around.randomness.random()
        if state.renew_at is None:
            state = msgspec.structs.replace(state, renew_at=moment_of(certificate, chance))
        elif moment < state.ask_at:
            return state
        seconds = ask_again("")
        try:
            seconds, start, end = await _window(settings, certificate)
        except (HttpProblem, SyntaxProblem) as problem:
            log.debug("tls.renewal_info_failed", name=name, problem=str(problem))
        else:
            if start is not None and end is not None and not start <= (state.renew_at or 0) <= end:
                chosen = min(within(start, end, chance), certificate.not_valid_after_utc.timestamp() - 86400)
                state = msgspec.structs.replace(state, renew_at=chosen)
                log.info("tls.renewal_suggested", name=name, renew_at=chosen)
        state = msgspec.structs.replace(state, ask_at=moment + seconds)
        await asyncio.to_thread(self._around.files.keep, name, state)
        return state


async def _window(settings: AcmeSettings, certificate: x509.Certificate) -> tuple[float, float | None, float | None]:
    """Seconds until it is to be asked again, and the window."""
    context = settings.context
    url = place((await ask(settings.directory, context, Asking())).body)
    id = certificate_id(certificate)
    if url is None or id is None:
        return ask_again(""), None, None
    answer = await ask(f"{url.rstrip('/')}/{id}", context, Asking())
    if answer.status != 200:
        raise HttpProblem(f"HTTP {answer.status}")
    window = parse_window(answer.body)
    return ask_again(answer.retry_after), window.start, window.end


def moment_of(certificate: x509.Certificate, chance: float) -> float:
    """Without the authority's word. `chance`: 0 to 1."""
    return renew_at(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp(), chance)
