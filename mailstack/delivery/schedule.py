"""When to try again."""

import random


def next_attempt(attempts: int, now: float, retry: list[float], randomness: random.Random) -> float:
    """The time of the next attempt after `attempts` failed ones, with a jitter of a tenth either way."""
    pause = retry[min(attempts, len(retry)) - 1]
    return now + pause * randomness.uniform(0.9, 1.1)
