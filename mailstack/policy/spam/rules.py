"""The table of rules. Each is a small function of the facts that says what it saw, or None."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailstack.policy.judgement import Finding
from mailstack.policy.spam import authenticity, connection, fields
from mailstack.policy.spam.facts import Facts


@dataclass(frozen=True, slots=True)
class Rule:
    """`weight` is the default; settings change it (`spam.weights`)."""

    name: str
    weight: float
    look: Callable[[Facts], str | None]


RULES: tuple[Rule, ...] = (
    # How it came. Nothing of these is looked at where the sender's address is hidden (Facts.here).
    Rule("helo-ours", 4.0, connection.helo_is_ours),
    Rule("helo-wrong-literal", 2.5, connection.helo_is_a_wrong_literal),
    Rule("helo-literal", 1.0, connection.helo_is_a_literal),
    Rule("helo-no-name", 1.5, connection.helo_is_no_name),
    Rule("no-reverse", 1.2, connection.no_reverse),
    Rule("reverse-of-a-line", 1.0, connection.reverse_of_a_line),
    # What its header says.
    Rule("no-from", 2.5, fields.no_from),
    Rule("several-from", 2.0, fields.several_from),
    Rule("no-date", 1.0, fields.no_date),
    Rule("odd-date", 1.0, fields.odd_date),
    Rule("no-message-id", 0.7, fields.no_message_id),
    Rule("bad-message-id", 0.7, fields.bad_message_id),
    Rule("several-subjects", 1.5, fields.several_subjects),
    Rule("no-recipients", 0.5, fields.no_recipients),
    Rule("name-is-another-address", 1.5, fields.name_is_another_address),
    # Who stands for it.
    Rule("spf-fail", 2.0, authenticity.spf_fail),
    Rule("spf-softfail", 1.0, authenticity.spf_softfail),
    Rule("dkim-broken", 0.5, authenticity.dkim_broken),
    Rule("dmarc-fail", 1.5, authenticity.dmarc_fail),
    Rule("nobody-answers", 0.8, authenticity.nobody_answers),
    Rule("dmarc-pass", -0.5, authenticity.dmarc_pass),
)


def look(facts: Facts, weights: Mapping[str, float], rules: tuple[Rule, ...] = RULES) -> list[Finding]:
    """What the rules find, in their order; a weight of 0 switches a rule off."""
    found = []
    for rule in rules:
        weight = weights.get(rule.name, rule.weight)
        text = rule.look(facts) if weight else None
        if text is not None:
            found.append(Finding(rule.name, weight, text))
    return found
