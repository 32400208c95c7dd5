"""Reading an account's files while promised renames may still be on their way to them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mailstack.store.errors import MessageGone, from_os_error
from mailstack.store.mailbox.promises import Promises
from mailstack.store.mailbox.surroundings import Surroundings

F = TypeVar("F", bound=tuple[int, bytes, bool])  # UID, path, whether it is converted to CRLF
R = TypeVar("R")


class Reader:
    """One hop to a thread, and a second look where it is needed."""

    def __init__(self, surroundings: Surroundings, promises: Promises) -> None:
        self._with = surroundings
        self._promises = promises

    async def read(self, blocking: Callable[[], R], again: Callable[[], Awaitable[R]]) -> R:
        """Read files; when one is not where it should be, wait for what trails and look once more."""
        try:
            return await self._with.hop(blocking)
        except MessageGone:
            if self._promises.all_kept:
                raise
            await self._promises.settled()
            return await again()
        except OSError as problem:
            raise from_os_error(problem) from problem

    async def read_many(
        self, files: list[F], blocking: Callable[[list[F]], dict[int, R]], again: Callable[[list[int]], list[F]]
    ) -> dict[int, R]:
        """Read of many files what is there; for the others wait for what trails, and look once more."""
        try:
            found = await self._with.hop(blocking, files)
            missing = [uid for uid, _, _ in files if uid not in found]
            if missing and not self._promises.all_kept:
                await self._promises.settled()
                found |= await self._with.hop(blocking, again(missing))
            return found
        except OSError as problem:
            raise from_os_error(problem) from problem
