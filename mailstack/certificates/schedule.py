"""When to renew, and when to try again. Pure; times in seconds since 1970.

Authorities count failures: Let's Encrypt allows five validations of a name an hour. An attempt may cost two.
"""

WAITS = (600.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0, 86400.0)
LIMITED = 3600.0  # where an authority says "too many", and not how long
LONGEST = 7 * 86400.0  # whatever it says
JITTER = 30  # of a lifetime: so many certificates of one day are not renewed at one moment


def wait_after(failures: int, chance: float, *, limited: bool = False, retry_after: float | None = None) -> float:
    """How long to wait after the n-th failure in a row. `chance`: 0 to 1."""
    wait = WAITS[min(max(failures, 1), len(WAITS)) - 1] * (1 + chance / 5)
    if limited:
        wait = max(wait, LIMITED)
    return max(wait, min(retry_after or 0.0, LONGEST))


def renew_at(begins: float, ends: float, chance: float) -> float:
    """When a third of the lifetime is left, or a little before."""
    lifetime = ends - begins
    return begins + lifetime * 2 / 3 - lifetime * chance / JITTER


def within(start: float, end: float, chance: float) -> float:
    """A moment of the window that an authority suggests (RFC 9773 4.2)."""
    return start + (end - start) * chance
