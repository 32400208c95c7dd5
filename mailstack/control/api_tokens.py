"""api-token.*: who may use the HTTP API."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_label
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.store.users.api_tokens import ApiTokens
from mailstack.store.users.directory import Directory


class ApiTokenOperations:
    def __init__(self, directory: Directory, tokens: ApiTokens, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._tokens = tokens
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"api-token.add": self.add, "api-token.list": self.list, "api-token.remove": self.remove}

    async def add(self, arguments: Arguments) -> Any:
        """The token, which is in this answer and nowhere else ever: an account's, or with `admin` an admin's."""
        label, account = read_label(str(arguments["label"])), None
        if bool(arguments.get("account")) == bool(arguments.get("admin")):
            raise OperationProblem("say in whose name it acts (--account ADDRESS), or that it may do everything (--admin)")
        if arguments.get("account"):
            account = (await find_account(self._directory, arguments["account"])).address
        token = await self._tokens.add(label, account, self._clock())
        if token is None:
            raise OperationProblem(f"there is an API token {label!r} already")
        return {"label": label, "account": account, "token": token}

    async def list(self, _: Arguments) -> Any:
        return await self._tokens.listing()

    async def remove(self, arguments: Arguments) -> Any:
        if not await self._tokens.remove(str(arguments["label"])):
            raise OperationProblem(f"there is no API token {arguments['label']!r}")
