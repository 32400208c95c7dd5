"""Answers that were never made, of many messages: a helper process makes every second pack of them, ahead of the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

MANY = 1024  # messages without an answer from which on the helper is asked
PATIENCE = 0.02  # seconds: about what a pack takes here
AT_ONCE = 2  # packs that it works at, so that it never waits

Made = dict[str, dict[int, bytes]]  # kind of answer to UID to answer


class Ahead:
    """For one command. `make` gives a pack's answers from the helper, None where it could not make them."""

    def __init__(self, numbers: Sequence[int], make: Callable[[int], Awaitable[Made | None]]) -> None:
        self._make = make
        self._places = {number: place for place, number in enumerate(numbers)}
        self._todo = list(numbers[1::2])
        self._asked: dict[int, asyncio.Future[Made | None]] = {}
        self._answered = False
        self._ask()

    async def take(self, number: int) -> Made | None:
        """A pack's answers, if the helper has them or is at it; None: they are to be made here."""
        self._todo = [one for one in self._todo if self._places[one] > self._places.get(number, -1)]
        asked = self._asked.pop(number, None)
        self._ask()
        if asked is None:
            return None
        if not asked.done() and self._answered:
            await asyncio.wait([asked], timeout=PATIENCE)
        if asked.done():
            return await asked
        asked.cancel()  # it is still starting, or others have the machine
        return None

    def close(self) -> None:
        """Nobody waits any more; what the helper is at, it finishes for nobody."""
        self._todo = []
        for asked in self._asked.values():
            asked.cancel()

    def _ask(self) -> None:
        while self._todo and sum(not asked.done() for asked in self._asked.values()) < AT_ONCE:
            number = self._todo.pop(0)
            self._asked[number] = asyncio.ensure_future(self._one(number))

    async def _one(self, number: int) -> Made | None:
        made = await self._make(number)
        self._answered = True
        asyncio.get_running_loop().call_soon(self._ask)
        return made
