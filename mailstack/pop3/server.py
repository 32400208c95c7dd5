"""All POP3 connections of the server, and which maildrops they have."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from mailstack.log import get_logger
from mailstack.net.serving import serve
from mailstack.policy.login import BANNED
from mailstack.pop3.connection import Connection
from mailstack.pop3.session import Pop3Services

log = get_logger()
LOOK_SECONDS = 15.0


class Pop3Server:
    """Listens on given sockets; knows who is connected."""

    def __init__(self, services: Pop3Services) -> None:
        self.services = services
        self.connections: set[Connection] = set()
        self._taken: set[str] = set()
        self._servers: list[asyncio.Server] = []
        self._looker: asyncio.Task[None] | None = None

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""
        for one in sockets:
            self._servers.append(await serve(one, lambda: Connection(self, secure=tls is not None), tls))
        if sockets and self._looker is None:
            self._looker = asyncio.create_task(self._look())

    # Who is here ----------------------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> str | None:
        """Let a connection in, which counts until it has logged in; or say why not."""
        if self.services.logins.refuses(connection.peer):
            return BANNED
        crowd = self.services.limits.connected(connection.peer)
        if crowd is not None:
            log.warning("pop3.too_many_connections", peer=connection.peer, reason=crowd.name.lower())
            return crowd.value
        self.connections.add(connection)
        return None

    def logged_in(self, connection: Connection, account: str) -> None:
        if connection in self.connections:
            self.services.limits.disconnected(connection.peer)
        connection.account = account

    def left(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.services.limits.closed(connection.peer)
        if connection.account is None:
            self.services.limits.disconnected(connection.peer)

    def take(self, account: str) -> bool:
        """One session a maildrop (RFC 1939 8); False when another has it."""
        if account in self._taken:
            return False
        self._taken.add(account)
        return True

    def give_back(self, account: str) -> None:
        self._taken.discard(account)

    def end_sessions(self, account: str) -> None:
        """The account's password was changed, or it is no more. What is marked in them is not removed."""
        for connection in list(self.connections):
            if connection.account == account:
                connection.bye()

    # Time and the end -----------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """End connections that are silent for too long: nothing is removed then, and nothing is said (RFC 1939 3)."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                if connection.overdue(now):
                    log.info("pop3.timed_out", peer=connection.peer, account=connection.account)
                    connection.bye()

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    async def stop(self) -> None:
        """Let what is under way be answered, then close."""
        self.stop_listening()
        if self._looker is not None:
            self._looker.cancel()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in list(self.connections):
            if connection.task is None:
                connection.bye()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        for connection in list(self.connections):
            connection.bye()
        await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.abort()
