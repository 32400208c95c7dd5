"""What tests put in another's place, and why a start fails."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mailstack.app.randomness import BlockRandom
from mailstack.store.disk import Disk


class StartProblem(Exception):
    """Why the server can't start: one line for the admin."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What tests put in another's place: the disk, the clock and chance."""

    disk: Disk
    clock: Callable[[], float] = time.time
    randomness: random.Random = field(default_factory=BlockRandom)
