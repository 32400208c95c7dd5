"""connections: who is connected at the doors for mail, as the server sees it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mailstack.control.arguments import Arguments
from mailstack.control.operations import Operation


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection: at which door, from where (behind a proxy: who that says), and who has logged in."""

    door: str
    peer: str
    port: int | None  # the peer's
    account: str | None


class ConnectionOperations:
    def __init__(self, connected: Callable[[], Iterable[Connected]]) -> None:
        self._connected = connected

    def table(self) -> dict[str, Operation]:
        return {"connections": self.connections}

    async def connections(self, _: Arguments) -> Any:
        """By door."""
        found = sorted(self._connected(), key=lambda one: (one.door, one.peer, one.account or ""))
        return [{"door": one.door, "peer": one.peer, "port": one.port, "account": one.account} for one in found]
