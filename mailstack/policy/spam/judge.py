"""Puts the facts together, lets the rules look, and adds up, once for each account that is to get the message."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailstack.message.header import split_header
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Local
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.rules import look
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content

HEADER_LOOKED_AT = 1 << 18


@dataclass(frozen=True, slots=True)
class SpamSettings:
    """Scores at which a message goes into Junk. Weights by rule."""

    junk: float = 5.0
    weights: Mapping[str, float] = field(default_factory=dict)


class Judge:
    """One for the server."""

    def __init__(self, hostname: str, settings: SpamSettings) -> None:
        self._hostname = hostname
        self.settings = settings

    async def judge(self, transaction: Transaction, content: Content) -> dict[str, Judgement]:
        """By the address of each account here that gets the message."""
        header, _ = split_header(content.head(HEADER_LOOKED_AT))
        facts = Facts(
            self._hostname, transaction.peer, transaction.helo, transaction.sender, header, _is_here(transaction.peer)
        )
        findings = tuple(look(facts, self.settings.weights))
        score = sum(finding.weight for finding in findings)
        accounts = {
            route.account.address for _, routes in transaction.recipients for route in routes if isinstance(route, Local)
        }
        return dict.fromkeys(accounts, Judgement(score, findings, score >= self.settings.junk, self.settings.junk))


def _is_here(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return True
