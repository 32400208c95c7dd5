"""user.takeout: an account's takeout, page after page; who asks writes the zip (store/takeout/writing.py)."""

from collections.abc import Callable
from typing import Any

import msgspec

from mailstack.control.arguments import Arguments
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.store.takeout.gathering import PAGE, Gatherer
from mailstack.store.users.directory import Directory


class TakeoutOperations:
    """One for the server."""

    def __init__(self, directory: Directory, gatherer: Gatherer, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._gatherer = gatherer
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"user.takeout": self.page}

    async def page(self, arguments: Arguments) -> Any:
        """`after`: what the page before named; without it the first page is given. The last one names none.

        `most`: messages of a page, where nobody else waits.
        """
        record = await self._record(arguments["address"])
        after = arguments.get("after")
        if after is None:
            page = await self._gatherer.first(record, self._clock())
        else:
            most = int(arguments.get("most") or PAGE)
            page = await self._gatherer.next(record, (str(after[0]), int(after[1])), most)
        return {"pieces": msgspec.to_builtins(page.pieces), "after": page.after}

    async def _record(self, text: str) -> Any:
        record = await find_account(self._directory, text)
        return record
