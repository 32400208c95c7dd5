"""For admins: what the commands do, by the same operations."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mailstack.control.operations import Operation, run
from mailstack.web.api.endpoint import ApiProblem, Call, Endpoint
from mailstack.web.api.shapes import (
    Account,
    AccountChange,
    AccountIn,
    Alias,
    AliasIn,
    Domain,
    DomainIn,
    Made,
    NewDomain,
    PasswordIn,
    Queued,
)

NAMES = {"user": "account", "queue": "message in the queue:"}


class Administration:
    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = dict(operations)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/accounts", "All accounts", self.accounts, gives=list[Account]),
            Endpoint("POST", "/accounts", "Add an account", self.add_account, 201, AccountIn, Made),
            Endpoint("GET", "/accounts/{address}", "One account", self.account, gives=Account),
            Endpoint("PATCH", "/accounts/{address}", "Change it", self.change_account, 204, AccountChange),
            Endpoint("DELETE", "/accounts/{address}", "Remove it; its mail stays on disk", self.remove_account, 204),
            Endpoint("POST", "/accounts/{address}/password", "A new password", self.password, 200, PasswordIn, Made),
            Endpoint("GET", "/aliases", "All aliases", self.aliases, gives=list[Alias]),
            Endpoint("POST", "/aliases", "Add an alias", self.add_alias, 201, AliasIn, Alias),
            Endpoint("DELETE", "/aliases/{address}", "Remove it", self.remove_alias, 204),
            Endpoint("GET", "/domains", "All domains", self.domains, gives=list[Domain]),
            Endpoint("POST", "/domains", "Add a domain", self.add_domain, 201, DomainIn, NewDomain),
            Endpoint("DELETE", "/domains/{domain}", "Remove it", self.remove_domain, 204),
            Endpoint("GET", "/queue", "What waits for delivery", self.queue, gives=list[Queued]),
            Endpoint("POST", "/queue/{id}/{action}", "retry, hold, release, or drop it", self.queue_act, 204),
        ]

    async def _run(self, name: str, **arguments: Any) -> Any:
        answer = await run(self._operations, name, arguments)
        if "error" in answer:
            raise ApiProblem(422, answer["error"])
        return answer["ok"]

    async def accounts(self, call: Call) -> tuple[int, Any]:
        return 200, await self._run("user.list")

    async def add_account(self, call: Call) -> tuple[int, Any]:
        body: AccountIn = call.body
        return 201, await self._run("user.add", address=body.address, password=body.password, quota=body.quota)

    async def _there(self, name: str, key: str, wanted: str) -> Any:
        """The row of a listing that is meant. Raises ApiProblem."""
        found = next((row for row in await self._run(f"{name}.list") if row[key] == wanted.lower()), None)
        if found is None:
            raise ApiProblem(404, f"there is no {NAMES.get(name, name)} {wanted}")
        return found

    async def account(self, call: Call) -> tuple[int, Any]:
        return 200, await self._there("user", "address", call.part("address"))

    async def change_account(self, call: Call) -> tuple[int, Any]:
        await self.account(call)
        body: AccountChange = call.body
        address = call.part("address")
        if body.quota is not msgspec.UNSET:
            await self._run("user.quota", address=address, quota=body.quota)
        if body.disabled is not msgspec.UNSET:
            await self._run("user.disable" if body.disabled else "user.enable", address=address)
        if body.admin is not msgspec.UNSET:
            await self._run("user.admin", address=address, off=not body.admin)
        return 204, None

    async def remove_account(self, call: Call) -> tuple[int, Any]:
        await self.account(call)
        await self._run("user.remove", address=call.part("address"))
        return 204, None

    async def password(self, call: Call) -> tuple[int, Any]:
        await self.account(call)
        return 200, await self._run("user.passwd", address=call.part("address"), password=call.body.password)

    async def aliases(self, call: Call) -> tuple[int, Any]:
        """Each with all its targets."""
        found: dict[str, list[str]] = {}
        for row in await self._run("alias.list"):
            found.setdefault(row["source"], []).append(row["target"])
        return 200, [{"address": source, "targets": targets} for source, targets in found.items()]

    async def add_alias(self, call: Call) -> tuple[int, Any]:
        await self._run("alias.add", address=call.body.address, targets=call.body.targets)
        return 201, {"address": call.body.address, "targets": call.body.targets}

    async def remove_alias(self, call: Call) -> tuple[int, Any]:
        await self._there("alias", "source", call.part("address"))
        await self._run("alias.remove", address=call.part("address"))
        return 204, None

    async def domains(self, call: Call) -> tuple[int, Any]:
        return 200, await self._run("domain.list")

    async def add_domain(self, call: Call) -> tuple[int, Any]:
        return 201, await self._run("domain.add", domain=call.body.domain)

    async def remove_domain(self, call: Call) -> tuple[int, Any]:
        await self._there("domain", "domain", call.part("domain"))
        await self._run("domain.remove", domain=call.part("domain"))
        return 204, None

    async def queue(self, call: Call) -> tuple[int, Any]:
        return 200, await self._run("queue.list")

    async def queue_act(self, call: Call) -> tuple[int, Any]:
        action = call.part("action")
        if action not in ("retry", "hold", "release", "drop"):
            raise ApiProblem(404, f"{action!r} can't be done to a message")
        await self._there("queue", "id", call.part("id"))
        await self._run(f"queue.{action}", id=call.part("id"))
        return 204, None
