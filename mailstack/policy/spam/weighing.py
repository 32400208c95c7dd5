"""What a message comes to for one account: the shared findings, and what this account knows of its words and its sender."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailstack.policy.judgement import Finding, Judgement
from mailstack.policy.spam import bayes, reputation
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.reputation import Record
from mailstack.policy.spam.senders import Rows
from mailstack.policy.spam.settings import SpamSettings
from mailstack.store.learned.file import Counts, LearnedFile

TRUSTED_BY = 3.0  # at least


@dataclass(frozen=True, slots=True)
class Known:
    """What one account's file says of a message's tokens and its sender's names."""

    counts: Counts | None
    rows: Rows


NOTHING = Known(None, {})


def speaks(file: LearnedFile) -> bool:
    """Whether an account's words say anything yet."""
    return min(file.learned()) >= bayes.ENOUGH


def ask(file: LearnedFile, keys: Sequence[int], names: Sequence[str]) -> Known:
    """In the thread of the files."""
    return Known(file.counts(keys), file.senders(names) if names else {})


def add_up(findings: Sequence[Finding], settings: SpamSettings) -> Judgement:
    score = sum(one.weight for one in findings)
    return Judgement(score, tuple(findings), score >= settings.junk, settings.junk)


def weigh(
    facts: Facts, shared: Sequence[Finding], counts: Counts | None, records: Mapping[str, Record], settings: SpamSettings
) -> Judgement:
    """For one account."""
    findings = list(shared)
    words = bayes.finding(counts, settings.weights.get("bayes", 1.0)) if counts is not None else None
    known = reputation.finding(facts, records, settings.weights.get("reputation", 1.0))
    findings += [one for one in (words, known) if one is not None]
    if reputation.is_correspondent(facts, records):
        # Whoever the account wrote to is never put away by doubt.
        score = sum(one.weight for one in findings)
        weight = -max(TRUSTED_BY, score - settings.junk + 1.0)
        findings.append(Finding("correspondent", weight, f"{facts.author} was written to"))
    return add_up(findings, settings)
