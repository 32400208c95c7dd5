"""What the judge is told by the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailstack.mailauth.dnslist import DnsList

MOST_SECONDS = 20.0  # for all that is asked of others about one message


@dataclass(frozen=True, slots=True)
class SpamSettings:
    """Scores and weights; None switches off."""

    on: bool = True
    junk: float = 5.0  # from which score on a message goes into Junk
    refuse: float | None = 12.0  # and from which on it is refused, when nobody of its recipients is below
    weights: Mapping[str, float] = field(default_factory=dict)  # by rule
    by_address: tuple[DnsList, ...] = ()
    by_domain: tuple[DnsList, ...] = ()
    greylist: float | None = 300.0  # seconds that a doubtful stranger waits
    doubt: float = 2.5  # the score from which on a stranger is doubtful
    seconds: float = MOST_SECONDS
