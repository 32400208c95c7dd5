"""ban.*: who may not log in."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_duration
from mailstack.control.operations import Operation
from mailstack.policy.bans import Bans
from mailstack.policy.networks import Network, parse_network
from mailstack.store.users.bans import Ban


class BanOperations:
    def __init__(self, bans: Bans) -> None:
        self._bans = bans

    def table(self) -> dict[str, Operation]:
        return {"ban.list": self.list_, "ban.add": self.add, "ban.remove": self.remove}

    async def list_(self, _: Arguments) -> Any:
        return [_row(ban) for ban in self._bans.listing()]

    async def add(self, arguments: Arguments) -> Any:
        seconds = read_duration(arguments["seconds"]) if arguments.get("seconds") else None
        try:
            return _row(await self._bans.add(_network(arguments["network"]), seconds, arguments.get("reason") or "by hand"))
        except ValueError as problem:
            raise OperationProblem(str(problem)) from None

    async def remove(self, arguments: Arguments) -> Any:
        """All bans that hold for any address of the network."""
        network = _network(arguments["network"])
        lifted = await self._bans.remove(network)
        if not lifted:
            raise OperationProblem(f"{network} is not banned")
        return [_row(ban) for ban in lifted]


def _row(ban: Ban) -> dict[str, Any]:
    return {
        "network": ban.network,
        "since": ban.since,
        "until": ban.until,
        "again": ban.level,
        "failures": ban.failures,
        "reason": ban.reason,
    }


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as problem:
        raise OperationProblem(str(problem)) from None
