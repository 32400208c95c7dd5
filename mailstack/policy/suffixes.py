"""The list of public suffixes: names right below one belong to different people."""

import asyncio

from publicsuffixlist import PublicSuffixList


class Suffixes:
    """Read once, when it is first needed; in a thread, for it takes a while."""

    def __init__(self) -> None:
        self._list: PublicSuffixList | None = None

    async def ready(self) -> None:
        """Before the first question."""
        if self._list is None:
            self._list = await asyncio.to_thread(PublicSuffixList)

    def is_public(self, name: str) -> bool:
        """Whether a name is one, as far as the list knows."""
        assert self._list is not None
        return bool(self._list.is_public(name))
