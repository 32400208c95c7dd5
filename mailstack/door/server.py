"""All connections of a door: who is let in, whose session ends, and that silence ends one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from mailstack.door.services import DoorServices
from mailstack.log import get_logger
from mailstack.net.serving import part, serve
from mailstack.policy.crowd import Crowd

if TYPE_CHECKING:
    from mailstack.door.connection import DoorConnection

log = get_logger()
LOOK_SECONDS = 15.0
C = TypeVar("C", bound="DoorConnection")


class DoorServer(Generic[C]):
    """Listens on given sockets; knows who is connected."""

    def __init__(self, name: str, services: DoorServices) -> None:
        """`services` may be replaced when settings change; its limits and logins stay the same ones."""
        self._name = name
        self.services = services
        self._limits = services.limits
        self._crowd = Crowd(name, services.limits, services.logins)
        self.connections: set[C] = set()
        self._of_account: dict[str, set[C]] = {}
        self._servers: list[asyncio.Server] = []
        self._looker: asyncio.Task[None] | None = None

    @property
    def allows_plaintext(self) -> bool:
        """Whether passwords may come without TLS, from this machine."""
        return self.services.allow_plaintext

    async def serve_on(self, sockets: Sequence[socket.socket], make: Callable[[], C], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""
        for one in sockets:
            self._servers.append(await serve(one, make, tls, gate=self._crowd))
        if sockets and self._looker is None:
            self._looker = asyncio.create_task(self._look())

    # Who is here ----------------------------------------------------------------------------------------------------

    def admit(self, connection: C) -> str | None:
        """Let a connection in, which counts until it has logged in; or say why not."""
        refusal = self._crowd.refusal(connection.peer)
        if refusal is None:
            self.connections.add(connection)
        return refusal

    def logged_in(self, connection: C, account: str) -> None:
        connection.account = account
        if connection in self.connections:  # else it was lost meanwhile
            self._limits.disconnected(connection.peer)
            self._of_account.setdefault(account, set()).add(connection)

    def logged_out(self, connection: C) -> None:
        if connection in self.connections and connection.account is not None:
            self._limits.logged_out(connection.peer)
        self._leave_account(connection)
        connection.account = None

    def left(self, connection: C) -> None:
        self.connections.discard(connection)
        self._limits.closed(connection.peer)
        if connection.account is None:
            self._limits.disconnected(connection.peer)
        self._leave_account(connection)

    def _leave_account(self, connection: C) -> None:
        others = self._of_account.get(connection.account or "")
        if others is not None:
            others.discard(connection)
            if not others:
                del self._of_account[connection.account or ""]

    def end_sessions(self, account: str) -> None:
        """The account's password was changed, or it is no more."""
        for connection in list(self._of_account.get(account, ())):
            connection.end("Log in again")

    # Time and the end -----------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """End connections that are silent for too long, and see to what else is to be done by the clock."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                if connection.overdue(now):
                    log.info(f"{self._name}.timed_out", peer=connection.peer, account=connection.account)
                    connection.time_out()
            await self.look_around()

    async def look_around(self) -> None:
        """What else a door does every 15 seconds."""

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    async def stop(self) -> None:
        """Let what is under way be answered, then close."""
        self.stop_listening()
        if self._looker is not None:
            self._looker.cancel()
        await part(self.connections, lambda one: one.end("The server is stopping"))
