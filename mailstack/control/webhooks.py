"""webhook.*: URLs that are told of events."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.delivery.webhooks import EVENTS, Webhooks, make_secret
from mailstack.store.users.directory import Directory
from mailstack.store.users.webhooks import Hook, WebhookTable

URL_LIMIT = 2000


class WebhookOperations:
    """`webhooks`: those of the running server; None without one."""

    def __init__(
        self, directory: Directory, table: WebhookTable, webhooks: Webhooks | None, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._table = table
        self._webhooks = webhooks
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "webhook.add": self.add,
            "webhook.list": self.list,
            "webhook.remove": self.remove,
            "webhook.test": self.test,
        }

    async def add(self, arguments: Arguments) -> Any:
        """The hook with its secret, which is in this answer and nowhere else ever. Without `events`: all of them."""
        url = _read_url(str(arguments["url"]))
        events = frozenset(arguments.get("events") or EVENTS)
        if unknown := sorted(events - set(EVENTS)):
            raise OperationProblem(f"there is no event {unknown[0]!r}; there are {', '.join(EVENTS)}")
        account = None
        if arguments.get("account"):
            account = (await find_account(self._directory, arguments["account"])).address
        hook = Hook(secrets.token_hex(4), url, make_secret(), events, account)
        await self._table.add(hook, self._clock())
        await self._renew()
        return {"id": hook.id, "url": url, "events": sorted(events), "account": account, "secret": hook.secret}

    async def list(self, _: Arguments) -> Any:
        """With how many events wait, and why the last attempt failed."""
        return [{**row, "events": row["events"].split()} for row in await self._table.listing()]

    async def remove(self, arguments: Arguments) -> Any:
        if not await self._table.remove(str(arguments["id"])):
            raise OperationProblem(f"there is no webhook {arguments['id']}")
        await self._renew()

    async def test(self, arguments: Arguments) -> Any:
        if self._webhooks is None:
            raise OperationProblem("no server runs; start it: mailstack serve")
        hook = next((one for one in await self._table.hooks() if one.id == arguments["id"]), None)
        if hook is None:
            raise OperationProblem(f"there is no webhook {arguments['id']}")
        problem = await self._webhooks.test(hook)
        if problem is not None:
            raise OperationProblem(f"{hook.url}: {problem}")

    async def _renew(self) -> None:
        if self._webhooks is not None:
            await self._webhooks.renew()


def _read_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0 and text.isascii()
    except ValueError:
        good = False
    if not good or len(text) > URL_LIMIT or not text.isprintable() or " " in text:
        raise OperationProblem(f"{text!r} is not an URL that begins with https: or http:")
    return text
