"""How often something happened of late: counts in slots of ten minutes, so that a day is 144 numbers."""

from collections.abc import MutableMapping

SLOT = 600.0  # seconds
HOUR, DAY = 6, 144  # slots


def slot_of(moment: float) -> int:
    return int(moment // SLOT)


def add(slots: MutableMapping[int, int], slot: int, count: int = 1) -> None:
    """Count, and forget what is older than a day."""
    slots[slot] = slots.get(slot, 0) + count
    if len(slots) > DAY:
        for old in [one for one in slots if one <= slot - DAY]:
            del slots[old]


def total(slots: MutableMapping[int, int], slot: int, span: int) -> int:
    """Of the last `span` slots, this one included."""
    if len(slots) <= span:
        return sum(count for one, count in slots.items() if one > slot - span)
    return sum(slots.get(one, 0) for one in range(slot - span + 1, slot + 1))


def until_less(slots: MutableMapping[int, int], moment: float, span: int) -> float:
    """Seconds until the oldest of what counts in a span counts no more."""
    now = slot_of(moment)
    oldest = min((one for one, count in slots.items() if count and one > now - span), default=now)
    return max(1.0, (oldest + span) * SLOT - moment)
