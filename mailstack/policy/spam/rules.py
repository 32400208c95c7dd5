"""The table of rules. Each is a small function of the facts that says what it saw, or None."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailstack.policy.judgement import Finding
from mailstack.policy.spam.facts import Facts


@dataclass(frozen=True, slots=True)
class Rule:
    """`weight` is the default; settings change it (`spam.weights`)."""

    name: str
    weight: float
    look: Callable[[Facts], str | None]


def helo_is_ours(facts: Facts) -> str | None:
    """Nobody else has our name: it is put on by those who hope to be taken for us."""
    return "says to be this server" if facts.helo_name == facts.hostname.lower() and not facts.here else None


RULES: tuple[Rule, ...] = (Rule("helo-ours", 4.0, helo_is_ours),)


def look(facts: Facts, weights: Mapping[str, float], rules: tuple[Rule, ...] = RULES) -> list[Finding]:
    """What the rules find, in their order; a weight of 0 switches a rule off."""
    found = []
    for rule in rules:
        weight = weights.get(rule.name, rule.weight)
        text = rule.look(facts) if weight else None
        if text is not None:
            found.append(Finding(rule.name, weight, text))
    return found
