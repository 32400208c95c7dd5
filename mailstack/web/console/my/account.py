"""The first page of an account's owner: how full it is, and the takeout."""

import asyncio
import datetime
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from mailstack.control.operations import run
from mailstack.log import get_logger
from mailstack.store.errors import StoreFailed
from mailstack.store.takeout.pieces import Piece
from mailstack.store.takeout.streaming import stream
from mailstack.web.console.desk import Desk
from mailstack.web.console.streaming import Stream
from mailstack.web.console.visit import Page, Refused, Visit

AT_ONCE = 2  # takeouts that are made
log = get_logger()


class AccountPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._making: set[str] = set()

    def routes(self) -> list[BaseRoute]:
        return self._desk.routes(Page("/my/account", self._show, {"takeout": self._takeout}, menu="My account"))

    async def _show(self, visit: Visit) -> Response:
        return visit.page("my/account.html", usage=await visit.own("user.usage"), aliases=await self._aliases(visit))

    async def _aliases(self, visit: Visit) -> list[str]:
        return list(await self._desk.behind.directory.aliases_of(visit.account.address))

    async def _takeout(self, visit: Visit) -> Response:
        address = visit.account.address
        await visit.demand_password()
        if address in self._making or len(self._making) >= AT_ONCE:
            raise Refused("a takeout is being made already; try again when it is done")
        log.info("console.takeout", account=address, peer=visit.peer)
        day = datetime.date.today().isoformat()
        name = f"{''.join(one if one.isalnum() or one in '.-@' else '_' for one in address)}-{day}.zip"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Stream(self._zip(address), media_type="application/zip", headers=headers)

    async def _zip(self, address: str) -> AsyncGenerator[bytes, None]:
        """What can't be finished breaks off, so that no browser takes it for whole."""
        self._making.add(address)
        blocks = stream(self._pieces(address))
        try:
            async for block in blocks:
                yield block
        finally:
            self._making.discard(address)
            await asyncio.shield(blocks.aclose())

    async def _pieces(self, address: str) -> AsyncIterator[list[Piece]]:
        after: Any = None
        while True:
            answer = await run(self._desk.operations, "user.takeout", {"address": address, "after": after})
            if "error" in answer:
                raise StoreFailed(answer["error"])
            page = answer["ok"]
            yield msgspec.convert(page["pieces"], list[Piece])
            after = page["after"]
            if after is None:
                return
