"""Strangers that look doubtful are asked to come again: what sends in haste doesn't, and lists know it when it does."""

import sqlite3
from collections.abc import Callable, Sequence

from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.policy.verdict import Defer, defer
from mailstack.store.greylist import Greylist
from mailstack.store.learned.door import LearnedDoor

log = get_logger()


class Greylisting:
    """One for the server."""

    def __init__(self, door: LearnedDoor, store: Greylist, clock: Callable[[], float]) -> None:
        self._door = door
        self._store = store
        self._clock = clock

    async def ask(self, network: str, sender: Address | None, recipients: Sequence[Address], delay: float) -> Defer | None:
        """None: welcome. A greylist that can't be read makes nobody wait."""
        name = sender.key if sender is not None else ""
        to = [one.key for one in recipients]
        try:
            wait = await self._door.hop(self._store.ask, network, name, to, delay, self._clock())
        except (sqlite3.Error, OSError) as problem:
            log.error("spam.greylist_failed", problem=str(problem))
            return None
        if wait.seconds <= 0:
            return None
        minutes = max(1, round(wait.seconds / 60))
        text = f"We don't know you yet: please try again in {minutes} minute{'s' if minutes > 1 else ''}"
        return defer(451, "4.7.1", text, "greylist")

    async def close(self) -> None:
        await self._door.hop(self._store.close)
