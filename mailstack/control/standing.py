"""server.*: the running server itself: who it is, and whether it could listen elsewhere."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mailstack.control.arguments import Arguments
from mailstack.control.operations import Operation
from mailstack.net.listen import ListenProblem, listen


class StandingOperations:
    """`ports`: those that are open, by service."""

    def __init__(self, hostname: str, ports: Callable[[], Mapping[str, Sequence[int]]]) -> None:
        self._hostname = hostname
        self._ports = ports

    def table(self) -> dict[str, Operation]:
        return {"server": self.server, "server.could": self.could}

    async def server(self, _: Arguments) -> Any:
        return {
            "pid": os.getpid(),
            "hostname": self._hostname,
            "ports": {name: list(one) for name, one in self._ports().items()},
        }

    async def could(self, arguments: Arguments) -> Any:
        """Why it can't listen at these ("address:port"); what it holds itself would be free then."""
        own = {port for ports in self._ports().values() for port in ports}
        problems = []
        for text in arguments["listeners"]:
            try:
                listen(text).close()
            except ListenProblem as problem:
                in_use = isinstance(problem.__cause__, OSError) and problem.__cause__.errno == errno.EADDRINUSE
                if not (in_use and int(text.rpartition(":")[2]) in own):
                    problems.append(f"{problem}")
        return problems
