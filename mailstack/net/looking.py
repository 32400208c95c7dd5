"""Looks at the DNS for which a person waits: many questions side by side, and an end where nobody answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from mailstack.net.dns import Resolver

SECONDS = 6.0  # for one look; who has not answered by then gives no answer
MOMENT = 1.0  # the same where nobody answered just now
AT_ONCE = 8  # looks: each has some dozens of questions
T = TypeVar("T")
R = TypeVar("R")


def patience(resolver: Resolver) -> float:
    """Seconds that one look may take."""
    return SECONDS if resolver.silence.patience is None else MOMENT


async def side_by_side(look: Callable[[T], Awaitable[R]], them: Iterable[T]) -> list[R]:
    """The results in the order of what was given; a few at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(it: T) -> R:
        async with slots:
            return await look(it)

    return list(await asyncio.gather(*(one(it) for it in them)))
