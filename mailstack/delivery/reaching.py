"""One connection to one host, with the TLS that its domain's policy asks for. Rule: nothing goes where a policy forbids it."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mailstack.delivery.client import ClientProblem, SmtpClient, Timeouts
from mailstack.delivery.outcome import Failed
from mailstack.delivery.tls_policy import DomainTls, TlsPolicies
from mailstack.log import get_logger
from mailstack.mailauth.dane import verify
from mailstack.policy.transport import Level, PolicyKind, Refusal, ResultType, TlsPolicy
from mailstack.wire.smtp import Reply

log = get_logger()
_EXPIRED, _MISMATCH = {9, 10}, {62, 64}  # X509_V_ERR_* of OpenSSL


@dataclass(frozen=True, slots=True)
class Place:
    """A host of a domain, and one address of it."""

    host: str
    address: str
    port: int
    source: str | None = None


class Reach:
    """connect() to one place; what TLS came to is told to `policies`."""

    def __init__(
        self, policies: TlsPolicies, opportunistic: ssl.SSLContext, verified: ssl.SSLContext, clock: Callable[[], float]
    ) -> None:
        self.policies = policies
        self._opportunistic = opportunistic
        self._verified = verified
        self._clock = clock

    async def connect(
        self, about: DomainTls, policy: TlsPolicy, place: Place, helo: str, timeouts: Timeouts
    ) -> SmtpClient | Failed:
        """A client that is ready for MAIL. A host whose TLS is broken is asked again with less, where that is allowed."""
        if policy.refusal is not None:
            return self._refused(about, policy, place, policy.refusal)
        last = Failed(Reply(451, "4.7.5", f"no TLS with {place.host}"), place.host)
        for level in sorted({policy.wanted, Level.ENCRYPTED, Level.CLEAR}, reverse=True):
            if not policy.least <= level <= policy.wanted:
                continue
            client = SmtpClient(place.host, helo, timeouts)
            try:
                await client.connect(place.address, place.port, source=place.source)
                if level is Level.CLEAR:
                    return await self._reached(about, policy, place, client, level)
                if "STARTTLS" not in client.extensions:
                    return await self._without(about, policy, place, client)
                await self._secure(client, policy, level)
                return await self._reached(about, policy, place, client, level)
            except ClientProblem as problem:
                if not problem.tls:
                    return Failed(problem.reply, place.host)
                last = self._refused(about, policy, place, _refusal(policy, place.host, problem))
        return last

    async def _secure(self, client: SmtpClient, policy: TlsPolicy, level: Level) -> None:
        if level is Level.DANE:
            judge = partial(verify, policy.records, names=policy.names, now=self._clock())
            await client.start_tls(self._opportunistic, name=policy.names[0], judge=judge)
        else:
            await client.start_tls(self._verified if level is Level.NAMED else self._opportunistic)

    async def _reached(self, about: DomainTls, policy: TlsPolicy, place: Place, client: SmtpClient, level: Level) -> SmtpClient:
        proof = {Level.NAMED: policy.why, Level.DANE: "DANE"}.get(level)
        client.tls = f"{client.version}{f', {proof}' if proof else ''}" if client.version else None
        if level is policy.wanted:
            client.worse = await self.policies.reached(about, policy, place.host, place.address, level)
        else:
            # What the policy wants failed, and is tolerated: that was counted.
            client.worse = self.policies.tolerated(about, place.host, level)
        return client

    async def _without(self, about: DomainTls, policy: TlsPolicy, place: Place, client: SmtpClient) -> SmtpClient | Failed:
        """The host offers no TLS."""
        refusal = Refusal(ResultType.STARTTLS_NOT_SUPPORTED, f"{place.host} offers no TLS")
        if policy.least > Level.CLEAR:
            await client.quit()
            return self._refused(about, policy, place, refusal, "4.7.4")
        self.policies.failed(about, policy, place.host, place.address, refusal)
        return await self._reached(about, policy, place, client, Level.CLEAR)

    def _refused(self, about: DomainTls, policy: TlsPolicy, place: Place, refusal: Refusal, enhanced: str = "4.7.5") -> Failed:
        self.policies.failed(about, policy, place.host, place.address, refusal)
        asks = f"; {policy.why} asks for it" if policy.why else ""
        return Failed(Reply(451, enhanced, f"{refusal.text}{asks}"), place.host)


def _refusal(policy: TlsPolicy, host: str, problem: ClientProblem) -> Refusal:
    """A TLS failure by its cause, as reports name it."""
    cause = problem.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        kind = ResultType.NOT_TRUSTED
        if cause.verify_code in _EXPIRED:
            kind = ResultType.EXPIRED
        elif cause.verify_code in _MISMATCH or "doesn't match" in str(cause):
            kind = ResultType.HOST_MISMATCH
        return Refusal(kind, f"the certificate of {host} proves nothing: {cause.verify_message}")
    if problem.unproved:
        return Refusal(ResultType.VALIDATION if policy.kind is PolicyKind.TLSA else ResultType.NOT_TRUSTED, problem.reply.text)
    if cause is None:
        return Refusal(ResultType.STARTTLS_NOT_SUPPORTED, f"{host} refuses STARTTLS: {problem.reply.text}")
    return Refusal(ResultType.VALIDATION, problem.reply.text)
