"""What the words of a message weigh, for one account: nothing until it has learned enough of both kinds.

A young classifier has not seen all kinds of wanted mail: in tests 3 of 100 wanted messages looked unwanted with 25 learned of
each kind, 1 with 50, none with 100 (docs/measured.md). So its words weigh less at first, and alone put nothing into Junk
before there are 50 of each. Nor do few words: one that was only seen in unwanted mail would do it.
"""

from collections.abc import Sequence

from mailstack.message.likelihood import Learned, Likelihood, combine, token_probability
from mailstack.policy.judgement import Finding
from mailstack.store.learned.file import Counts

ENOUGH = 20  # learned messages of each kind
FEW_TOKENS = 10  # that say something; with fewer the weight is at most FEW
FEW = 2.5
# From how many of each kind on; from which likelihood on (in hundredths) what weight, the first that fits.
UNWANTED = (
    (100, ((99, 6.0), (90, 5.0), (80, 3.5), (60, 2.0))),
    (50, ((99, 5.0), (80, 3.0))),
    (ENOUGH, ((99, 4.0), (80, 3.0))),
)
WANTED = ((1, -3.0), (5, -2.0), (20, -1.0))


def likelihood(counts: Counts) -> Likelihood | None:
    """None while too little is learned."""
    if min(counts.junk, counts.good) < ENOUGH:
        return None
    learned = Learned(counts.junk, counts.good)
    return combine(token_probability(junk, good, learned) for junk, good, _ in counts.tokens)


def finding(counts: Counts, factor: float = 1.0) -> Finding | None:
    """What it adds to the score. `factor`: a setting's, 0 for nothing."""
    found = likelihood(counts)
    if found is None or not factor:
        return None
    weight = _weight(found, min(counts.junk, counts.good))
    if not weight:
        return None
    kind = "unwanted" if weight > 0 else "wanted"
    text = f"its words are those of {kind} mail here ({found.value * 100:.0f} of 100, {counts.junk + counts.good} learned)"
    return Finding("bayes", weight * factor, text)


def _weight(found: Likelihood, learned: int) -> float:
    hundredths = found.value * 100
    table = next(rows for number, rows in UNWANTED if learned >= number)
    weight = next((one for limit, one in table if hundredths >= limit), None)
    if weight is None:
        weight = next((one for limit, one in WANTED if hundredths <= limit), 0.0)
    return min(max(weight, -FEW), FEW) if found.tokens < FEW_TOKENS else weight


def telling(counts: Counts, names: dict[int, str], number: int = 15) -> Sequence[tuple[str, float, int, int]]:
    """The tokens that say most: (token, probability, unwanted, wanted), for people."""
    learned = Learned(counts.junk, counts.good)
    found = [(names.get(key, "?"), token_probability(junk, good, learned), junk, good) for junk, good, key in counts.tokens]
    return sorted(found, key=lambda one: -abs(one[1] - 0.5))[:number]
