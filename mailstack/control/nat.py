"""nat: addresses behind which several clients seem to be."""

from typing import Any

from mailstack.control.arguments import Arguments
from mailstack.control.operations import Operation
from mailstack.policy.nat import Nat


class NatOperations:
    """What was seen since the start of the server."""

    def __init__(self, nat: Nat) -> None:
        self._nat = nat

    def table(self) -> dict[str, Operation]:
        return {"nat": self.nat}

    async def nat(self, _: Arguments) -> Any:
        """A line for each address."""
        return [{"address": one.address, "text": one.text} for one in self._nat.hidings()]
