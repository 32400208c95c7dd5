"""user.app-password.*: passwords for single devices."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address, read_label, read_moment
from mailstack.control.finding import find_account
from mailstack.control.importing import Hop
from mailstack.control.operations import Operation
from mailstack.store.users.devices import Devices
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import make_app_password
from mailstack.store.users.scope import Scope, parse_scope
from mailstack.store.users.scram import Scram


class DeviceOperations:
    """`hop` runs what takes a processor's time in a thread."""

    def __init__(self, directory: Directory, devices: Devices, scram: Scram, hop: Hop, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._devices = devices
        self._scram = scram
        self._hop = hop
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "user.app-password.add": self.add,
            "user.app-password.list": self.list_,
            "user.app-password.remove": self.remove,
        }

    async def add(self, arguments: Arguments) -> Any:
        """The password is in the answer, and nowhere else ever."""
        key = read_address(arguments["address"]).key
        label, scope = read_label(arguments["label"]), _scope(arguments.get("scope") or "all")
        expires = read_moment(arguments.get("expires"), self._clock())
        password, digest = make_app_password()
        scram = await self._hop(self._scram.make, await self._scram.salt(key), password)
        await self._directory.add_app_password(key, label, digest, self._clock(), scram, scope, expires)
        return {"address": key, "label": label, "password": password, "scope": scope.name, "expires": expires}

    async def list_(self, arguments: Arguments) -> Any:
        key, now = (await find_account(self._directory, arguments["address"])).address, self._clock()
        rows = await self._devices.listing(key)
        return [{**row, "expired": row["expires"] is not None and row["expires"] <= now} for row in rows]

    async def remove(self, arguments: Arguments) -> Any:
        await self._directory.remove_app_password(read_address(arguments["address"]).key, arguments["label"])


def _scope(name: str) -> Scope:
    try:
        return parse_scope(name)
    except ValueError as problem:
        raise OperationProblem(f"scope: {problem}") from None
