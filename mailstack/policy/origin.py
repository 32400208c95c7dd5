"""Where an arriving message comes from, what is written down of it, and what follows (RFC 8601, RFC 9989)."""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Any

from mailstack.log import get_logger
from mailstack.mailauth import authres
from mailstack.mailauth.authres_reading import forged
from mailstack.mailauth.results import Authentication, Result
from mailstack.policy.authentication import HEADER_LIMIT, IN_A_THREAD, Authenticator
from mailstack.policy.dmarc import AuthenticationSettings, Decision, Pass, Quarantine, decide
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Defer, Reject
from mailstack.store.content import Content
from mailstack.store.sightings import Sighting, Sightings
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory

log = get_logger()


@dataclass(frozen=True, slots=True)
class Origin:
    """`field`: Authentication-Results, for the top. `forged`: whole fields of the message that claim to be ours."""

    decision: Decision
    field: bytes = b""
    forged: frozenset[bytes] = frozenset()


class Origins:
    """One for the server."""

    def __init__(
        self,
        authenticator: Authenticator,
        directory: Directory,
        trace: Trace,
        hostname: str,
        settings: AuthenticationSettings,
    ) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._trace = trace
        self._hostname = hostname.lower()
        self.settings = settings
        self.sightings: Sightings | None = None

    async def look(self, transaction: Transaction, content: Content) -> Origin:
        """Never raises: a judge that fails costs its result, not the message. The transaction keeps what was found."""
        big = content.descriptor is not None or content.size > IN_A_THREAD
        claims = await asyncio.to_thread(_forged, content, self._hostname) if big else _forged(content, self._hostname)
        if not self.settings.check:
            return Origin(Pass(), forged=claims)
        try:
            found = await self._authenticator.judge(transaction, content)
        except Exception:
            log.exception("authentication.broken", id=transaction.id)
            found = Authentication()
        transaction.authentication = found
        decision = decide(transaction, found, self.settings)
        own = await self._is_our_own(transaction, found)
        if own:
            decision = Pass("from a program of this machine")
        self._record(transaction, found, decision)
        seen = bool(found.dmarc.policy_domain) and transaction.peer_known and not own and not isinstance(decision, Defer)
        if self.sightings is not None and seen:
            self.sightings.note(_sighting(transaction, found, decision), transaction.received)
        sender = str(transaction.sender) if transaction.sender is not None else ""
        return Origin(decision, authres.write(self._hostname, found, sender), claims)

    async def _is_our_own(self, transaction: Transaction, found: Authentication) -> bool:
        """Programs of this machine write in the name of its domains, and no record says that they may."""
        if found.dmarc.result is not Result.FAIL:
            return False
        try:
            here = ipaddress.ip_address(transaction.peer).is_loopback
        except ValueError:
            here = True
        return here and await self._directory.is_local_domain(found.dmarc.domain)

    def _record(self, transaction: Transaction, found: Authentication, decision: Decision) -> None:
        note = {Pass: getattr(decision, "note", ""), Quarantine: getattr(decision, "reason", "")}.get(type(decision))
        if isinstance(decision, Defer):
            note = "deferred"
        shown = described(found)
        log.info("message.authenticated", id=transaction.id, **shown, note=note or None)
        self._trace.record(transaction.id, "authenticated", **shown, note=note or None)


def _sighting(transaction: Transaction, found: Authentication, decision: Decision) -> Sighting:
    """For the report to the domain in From."""
    disposition = {Quarantine: "quarantine", Reject: "reject"}.get(type(decision), "none")
    signatures = [f"{one.domain} {one.selector} {one.result}" for one in found.dkim[:5] if one.domain]
    words = (one.split() for one in signatures)
    return Sighting(
        domain=found.dmarc.policy_domain,
        header_from=found.dmarc.domain,
        source=transaction.peer,
        disposition=disposition,
        dkim="pass" if found.dmarc.dkim_aligned else "fail",
        spf="pass" if found.dmarc.spf_aligned else "fail",
        envelope_from=transaction.sender.domain if transaction.sender is not None else "",
        signatures="\n".join(" ".join(one) for one in words if len(one) == 3),
        sender=f"{found.spf.domain} {found.spf.result}",
        reason=decision.note[:100] if isinstance(decision, Pass) else "",
    )


def _forged(content: Content, host: str) -> frozenset[bytes]:
    header = content.header(HEADER_LIMIT)
    return frozenset(forged(header, host))


def described(found: Authentication) -> dict[str, Any]:
    """For log and trace: each method as "result what (why)"."""
    dmarc = found.dmarc
    asks = f"p={dmarc.request}{' t=y' if dmarc.testing else ''}" if dmarc.policy_domain else ""
    sealers = ", ".join(one.domain for one in found.arc.sets)
    return {
        "iprev": _line(found.iprev.result, found.iprev.name or "", found.iprev.reason),
        "spf": _line(found.spf.result, found.spf.domain, found.spf.reason),
        "helo": _line(found.helo.result, found.helo.domain, found.helo.reason),
        "dkim": [_line(one.result, f"{one.domain} {one.selector}".strip(), one.reason) for one in found.dkim],
        "dmarc": _line(dmarc.result, " ".join(filter(None, (dmarc.domain, asks))), dmarc.reason),
        "arc": _line(found.arc.result, sealers, found.arc.reason),
    }


def _line(result: Result, what: str, why: str) -> str:
    text = f"{result} {what}" if what else str(result)
    return f"{text} ({why})" if why else text
