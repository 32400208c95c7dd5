"""Judges outside this process: what each is asked, and what is done when it does not answer."""

from dataclasses import dataclass
from typing import Protocol

from mailstack.policy.judgement import Finding
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Defer, Reject
from mailstack.store.content import Content


@dataclass(frozen=True, slots=True)
class Opinion:
    """`verdict` ends it: a virus is not weighed."""

    findings: tuple[Finding, ...] = ()
    verdict: Reject | Defer | None = None


class OutsideJudge(Protocol):
    """Never raises for trouble of the judge's: that is a finding without weight, or a verdict."""

    async def ask(self, transaction: Transaction, content: Content) -> Opinion: ...
