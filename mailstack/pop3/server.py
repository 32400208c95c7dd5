"""All POP3 connections of the server, and which maildrops they have."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from mailstack.door.server import DoorServer
from mailstack.door.services import DoorServices
from mailstack.pop3.connection import Connection


class Pop3Server(DoorServer[Connection]):
    """Whose session ends by silence or from our side has removed nothing (RFC 1939 3)."""

    def __init__(self, services: DoorServices) -> None:
        super().__init__("pop3", services)
        self._taken: set[str] = set()

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""
        await self.serve_on(sockets, lambda: Connection(self, secure=tls is not None), tls)

    def take(self, account: str) -> bool:
        """One session a maildrop (RFC 1939 8); False when another has it."""
        if account in self._taken:
            return False
        self._taken.add(account)
        return True

    def give_back(self, account: str) -> None:
        self._taken.discard(account)
