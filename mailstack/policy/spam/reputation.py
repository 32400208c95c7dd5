"""What an account knows of a sender: his address, his domains and his network, from mail that came and what was done with it.

A sender is known by names: "address:", "dkim:", "domain:", "network:". What is known fades by half in HALF_LIFE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailstack.policy.judgement import Finding
from mailstack.policy.spam.facts import Facts

HALF_LIFE = 60 * 86400.0  # seconds
FORGET_AFTER = 365 * 86400.0
CAME = 0.1  # what a message counts that nobody said anything about
LEARNED = 3.0  # what one counts that a person moved
ENOUGH = 1.0
FULL = 6.0  # from here on it weighs all
BEST, WORST = -2.0, 3.0


@dataclass(frozen=True, slots=True)
class Record:
    """Of one name. `wrote`: messages that the account sent there; that does not fade."""

    good: float = 0.0
    junk: float = 0.0
    wrote: float = 0.0
    time: float = 0.0

    def at(self, now: float) -> "Record":
        fading = 0.5 ** (max(now - self.time, 0.0) / HALF_LIFE)
        return Record(self.good * fading, self.junk * fading, self.wrote, now)

    def plus(self, other: "Record", now: float) -> "Record":
        """With what was seen since."""
        old = self.at(now)
        return Record(old.good + other.good, old.junk + other.junk, old.wrote + other.wrote, now)

    @property
    def seen(self) -> float:
        return self.good + self.junk


def correspondent(facts: Facts) -> str | None:
    """The name by which people are known to whom the account wrote; None where the domain disowns the message."""
    if facts.author is None or facts.disowned:
        return None
    return f"address:{facts.author.key}"


def is_correspondent(facts: Facts, records: Mapping[str, Record]) -> bool:
    """Whether the account wrote to the author, and did not move his mail to Junk since."""
    name = correspondent(facts)
    record = records.get(name) if name is not None else None
    return record is not None and record.wrote > 0 and record.junk <= record.good + LEARNED / 2


def finding(facts: Facts, records: Mapping[str, Record], factor: float = 1.0) -> Finding | None:
    """By the narrowest name of which enough is known."""
    for name in facts.names:
        record = records.get(name)
        if record is None or record.seen < ENOUGH:
            continue
        share = (record.junk + 0.2) / (record.seen + 0.4)
        weight = (WORST if share > 0.5 else -BEST) * (2 * share - 1) * min(record.seen / FULL, 1.0) * factor
        if abs(weight) < 0.05:
            return None
        words = "mostly unwanted" if weight > 0 else "mostly wanted"
        return Finding("reputation", weight, f"mail of {name.replace(':', ' ', 1)[:80]} was {words} here")
    return None


def is_new(facts: Facts, records: Mapping[str, Record]) -> bool:
    """Whether nothing came from there before but what looked unwanted."""
    known = [records[name] for name in facts.names if name in records]
    return not any(one.wrote or one.good > one.junk for one in known)
