"""Sizes and durations as people write them."""

import re

_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB|TiB)?")
_WEIGHT = re.compile(r"([a-z0-9.:_-]+)\s+(-?[0-9]{1,2}(?:\.[0-9]{1,2})?)")
_DURATION = re.compile(r"([0-9]+)\s*(ms|s|m|h|d)")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def size(text: str) -> int:
    """ "50MiB" in octets. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a size like 50MiB")
    return int(found[1]) * _UNITS[found[2]]


def duration(text: str) -> float:
    """ "5m" in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration like 5m, 4h or 5d")
    return float(int(found[1]) * _SECONDS[found[2]])


def weight(text: str) -> tuple[str, float]:
    """ "no-date 0.5" as a rule's name and its weight. Raises ValueError."""
    found = _WEIGHT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'{text!r} is not "rule weight", like "no-date 0.5"')
    return found[1], float(found[2])
