"""Looks at folders for which nobody waits: what they find is told to the sessions."""

import asyncio

from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.others import Others

log = get_logger()


class Looks:
    """One account's; one look a mailbox at a time."""

    def __init__(self, others: Others) -> None:
        self._others = others
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by mailbox id

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def soon(self, mailbox: Mailbox) -> None:
        if mailbox.id not in self._under_way:
            self._under_way[mailbox.id] = asyncio.create_task(self._look(mailbox))

    async def settled(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    async def _look(self, mailbox: Mailbox) -> None:
        try:
            await self._others.check(mailbox)
        except StoreProblem as problem:
            log.error("store.look_failed", mailbox=mailbox.name, problem=problem.detail)
        finally:
            del self._under_way[mailbox.id]
