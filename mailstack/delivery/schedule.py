"""When to try again."""

import random


def next_attempt(attempts: int, now: float, retry: list[float], randomness: random.Random) -> float:
    """The time of the next attempt after `attempts` failed ones, with a jitter of a tenth either way."""
    pause = retry[min(attempts, len(retry)) - 1]
    return now + pause * randomness.uniform(0.9, 1.1)


def rounds(retry: list[float], expire: float) -> int:
    """How many of the pauses, each counted once, fit into the time until a message expires."""
    total, count = 0.0, 0
    for pause in retry:
        total += pause * 1.1
        if total > expire:
            break
        count += 1
    return count
