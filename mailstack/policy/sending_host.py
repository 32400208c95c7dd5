"""Whether the host that sends may: its name by the DNS, and SPF of both identities (RFC 8601 2.7.3, RFC 7208)."""

import asyncio
from dataclasses import dataclass

from mailstack.mailauth.results import Iprev, Result, Spf
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import Resolver
from mailstack.net.iprev import iprev, kept_iprev
from mailstack.net.spf import check_host, kept_spf
from mailstack.policy.asking import Asking
from mailstack.policy.transaction import Transaction


@dataclass(frozen=True, slots=True)
class HostFound:
    """`spf`: of the sender; None for the null sender. `helo`: of the name in HELO (RFC 7208 2.3)."""

    iprev: Iprev
    spf: Spf | None
    helo: Spf


class SendingHost:
    """One for the server. Each check has a half that answers from what is kept, and one that asks."""

    def __init__(self, resolver: Resolver, hostname: str, seconds: float) -> None:
        self._resolver = resolver
        self._hostname = hostname
        self._seconds = seconds

    def kept(self, transaction: Transaction) -> HostFound | None:
        """What follows without a question; None where one must be asked."""
        who, helo = self._kept_iprev(transaction), self._kept_spf(transaction, _helo(transaction))
        if who is None or helo is None:
            return None
        if transaction.sender is None:
            return HostFound(who, None, helo)
        spf = self._kept_spf(transaction, transaction.sender.domain)
        return HostFound(who, spf, helo) if spf is not None else None

    async def ask(self, transaction: Transaction, asking: Asking) -> HostFound:
        who, spf, helo = await asyncio.gather(
            self._iprev(transaction, asking),
            self._spf(transaction, asking),
            self._check(transaction, f"postmaster@{_helo(transaction)}", _helo(transaction), asking),
        )
        return HostFound(who, spf, helo)

    def _kept_iprev(self, transaction: Transaction) -> Iprev | None:
        if not transaction.peer_known or not _is_address(transaction.peer):
            return Iprev(address=transaction.peer)
        return kept_iprev(self._resolver, transaction.peer)

    def _kept_spf(self, transaction: Transaction, domain: str) -> Spf | None:
        if not transaction.peer_known or not _is_address(transaction.peer) or domain.startswith("[") or "." not in domain:
            return Spf(domain="" if domain.startswith("[") else domain)
        return kept_spf(self._resolver, transaction.peer, domain)

    async def _iprev(self, transaction: Transaction, asking: Asking) -> Iprev:
        known = self._kept_iprev(transaction)
        if known is not None:
            return known
        late = Iprev(Result.TEMPERROR, transaction.peer, reason="no answer in time")
        return await asking.in_time(iprev(self._resolver, transaction.peer), late)

    async def _spf(self, transaction: Transaction, asking: Asking) -> Spf | None:
        if transaction.sender is None:
            return None
        return await self._check(transaction, str(transaction.sender), transaction.sender.domain, asking)

    async def _check(self, transaction: Transaction, sender: str, domain: str, asking: Asking) -> Spf:
        known = self._kept_spf(transaction, domain)
        if known is not None:
            return known
        late = Spf(Result.TEMPERROR, domain, "no answer in time")
        check = check_host(self._resolver, transaction.peer, sender, transaction.helo, self._hostname, seconds=self._seconds)
        return await asking.in_time(check, late)


def _helo(transaction: Transaction) -> str:
    """The name in HELO as a domain; "" where it is none."""
    try:
        return normalise_domain(transaction.helo.rstrip("."))
    except SyntaxProblem:
        return ""


def _is_address(peer: str) -> bool:
    return peer != "local"
