"""What a message comes to for one account: the shared findings, and what this account knows of its words and its sender."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mailstack.message.tokens import key, tokens
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


class Words:
    """Of one message; made once, and only where they are asked for: most accounts have not learned enough. In the thread."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def all(self) -> list[str]:
        return tokens(self._data)

    @cached_property
    def keys(self) -> list[int]:
        return [key(one) for one in self.all]

    @property
    def links(self) -> list[str]:
        """The domains that it leads to."""
        return [one.removeprefix("link:") for one in self.all if one.startswith("link:") and one != "link:port"]


def ask(file: LearnedFile, words: Words, names: Sequence[str]) -> Known:
    """In the thread of the files."""
    junk, good, rows = file.glance(names)
    return Known(file.counts(words.keys) if min(junk, good) >= bayes.ENOUGH else None, rows)


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
