"""What follows from DMARC: the owner of the domain in From asks, and this server decides (RFC 9989 5.4, 7.3)."""

from collections.abc import Iterable
from dataclasses import dataclass

from mailstack.mailauth.authres_reading import sealed
from mailstack.mailauth.results import Arc, Authentication, Request, Result
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Defer, Reject, defer, reject

ASKABLE = frozenset({"postmaster", "abuse"})  # who can be asked why mail is refused, by everybody


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    """`check`: whether anything is judged. `obey_dmarc`: else it is only written down."""

    check: bool = True
    obey_dmarc: bool = True
    trusted_sealers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pass:
    """`note`: why it passes in spite of what the owner asks, for the trace."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Into Junk. `reason`: for people."""

    reason: str


Decision = Pass | Quarantine | Defer | Reject


def decide(transaction: Transaction, found: Authentication, settings: AuthenticationSettings) -> Decision:
    """What becomes of a message, as far as DMARC says."""
    dmarc = found.dmarc
    if dmarc.result is Result.TEMPERROR and dmarc.request is Request.REJECT and settings.obey_dmarc and transaction.peer_known:
        text = f"SPF or DKIM of {dmarc.domain} can't be checked now (DMARC p=reject); try again later"
        return defer(451, "4.7.1", text, "dmarc-unknown")
    if dmarc.result is not Result.FAIL:
        return Pass()
    request = wanted(dmarc.request, testing=dmarc.testing)
    if request is Request.NONE:
        return Pass()
    if not settings.obey_dmarc:
        return Pass("dmarc is only observed")
    if not transaction.peer_known:
        return Pass("the peer is a gateway: SPF could not be asked")
    sealer = vouched(found.arc, dmarc.domain, settings.trusted_sealers)
    if sealer is not None:
        return Pass(f"{sealer} saw it pass, and is trusted")
    asks = f"{dmarc.policy_domain} asks for it (DMARC p={dmarc.request})"
    if request is Request.QUARANTINE or _only_askable(transaction):
        return Quarantine(f"Neither SPF nor DKIM passed in the name of {dmarc.domain}: {asks}")
    return reject(
        550,
        "5.7.1",
        f"Refused: neither SPF nor DKIM passed in the name of {dmarc.domain}, and {asks}."
        f" If you are its owner, mend them; else ask postmaster@{_here(transaction)}",
        "dmarc-policy",
    )


def wanted(request: Request, *, testing: bool) -> Request:
    """What the owner wants done: one step less while he tests (RFC 9989 4.7)."""
    if not testing:
        return request
    return Request.QUARANTINE if request is Request.REJECT else Request.NONE


def vouched(arc: Arc, domain: str, trusted: Iterable[str]) -> str | None:
    """The trusted sealer who saw DMARC pass for `domain`, where he and all who handled the message after him are trusted."""
    if arc.result is not Result.PASS:
        return None
    for one in reversed(arc.sets):
        if not any(one.domain == name or one.domain.endswith(f".{name}") for name in trusted):
            return None
        try:
            seen = sealed(one.results)
        except SyntaxProblem:
            continue
        if any(result.result == "pass" and result.value("header", "from") == domain for result in seen.of("dmarc")):
            return one.domain
    return None


def _only_askable(transaction: Transaction) -> bool:
    return all(recipient.address.local.lower() in ASKABLE for recipient, _ in transaction.recipients)


def _here(transaction: Transaction) -> str:
    return transaction.recipients[0][0].address.domain
