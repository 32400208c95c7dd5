"""How likely a message is unwanted, from the tokens that were seen in wanted and unwanted ones.

Robinson's smoothed probability of each token, and Fisher's way to put many of them together (chi-square), so that
"nothing is known" and "as much speaks for as against" both come out in the middle.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

STRENGTH = 0.45  # how many sightings the assumption about an unknown token is worth
UNKNOWN = 0.5
NOTHING_SAID = 0.1  # tokens so near to the middle say nothing
USED = 150  # the strongest tokens


@dataclass(frozen=True, slots=True)
class Learned:
    """How many messages a classifier has learned."""

    junk: int = 0
    good: int = 0


def token_probability(junk: int, good: int, learned: Learned) -> float:
    """Of one token, 0 to 1, from how many unwanted and wanted messages had it."""
    spam = junk / max(learned.junk, 1)
    ham = good / max(learned.good, 1)
    if not spam + ham:
        return UNKNOWN
    seen = junk + good
    return (STRENGTH * UNKNOWN + seen * (spam / (spam + ham))) / (STRENGTH + seen)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of a message: 0 (wanted) to 1 (unwanted), and how many tokens said something."""

    value: float
    tokens: int


def combine(probabilities: Iterable[float]) -> Likelihood:
    strong = sorted((abs(one - 0.5), one) for one in probabilities if abs(one - 0.5) >= NOTHING_SAID)[-USED:]
    if not strong:
        return Likelihood(0.5, 0)
    wanted = unwanted = 0.0
    for _, one in strong:
        one = min(max(one, 0.0001), 0.9999)
        unwanted += math.log(1.0 - one)
        wanted += math.log(one)
    degrees = 2 * len(strong)
    value = (1.0 + _chi_square(-2.0 * wanted, degrees) - _chi_square(-2.0 * unwanted, degrees)) / 2.0
    return Likelihood(value, len(strong))


def _chi_square(value: float, degrees: int) -> float:
    """The probability that a chi-square variable with an even number of degrees of freedom exceeds a value."""
    half = value / 2.0
    if half > 700:  # exp() of it is nothing
        return 0.0
    term = total = math.exp(-half)
    for number in range(1, degrees // 2):
        term *= half / number
        total += term
    return min(total, 1.0)
