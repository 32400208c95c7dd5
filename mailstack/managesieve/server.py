"""All ManageSieve connections of the server."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from mailstack.door.server import DoorServer
from mailstack.managesieve.connection import Connection
from mailstack.managesieve.session import SieveServices


class SieveServer(DoorServer[Connection]):
    """TLS comes by STARTTLS alone: no port is registered for it from the first byte on."""

    def __init__(self, services: SieveServices) -> None:
        super().__init__("managesieve", services)
        self.services: SieveServices = services

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        await self.serve_on(sockets, lambda: Connection(self, secure=False), None)
