"""All SMTP connections of a door."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

from mailstack.log import get_logger
from mailstack.net.serving import serve
from mailstack.policy.crowd import Crowd
from mailstack.smtp.protocol import SmtpConnection, SmtpServices
from mailstack.smtp.table import HANDLERS
from mailstack.wire.smtp import Reply

log = get_logger()


class SmtpServer:
    """Listens on given sockets; knows who is connected."""

    def __init__(self, services: SmtpServices) -> None:
        self.services = services
        self._crowd = Crowd("smtp", services.limits, services.logins)
        self.connections: set[SmtpConnection] = set()
        self._accounts: dict[SmtpConnection, str] = {}
        self._servers: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""

        def make() -> SmtpConnection:
            return SmtpConnection(self.services, self, HANDLERS, secure=tls is not None)

        self._servers += [await serve(one, make, tls, gate=self._crowd) for one in sockets]

    def admit(self, connection: SmtpConnection) -> str | None:
        """Let a connection in, or say why not."""
        refusal = self._crowd.refusal(connection.peer)
        if refusal is None:
            self.connections.add(connection)
        return refusal

    def logged_in(self, connection: SmtpConnection, account: str) -> None:
        self._accounts[connection] = account

    def left(self, connection: SmtpConnection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self.services.limits.closed(connection.peer)
        self._accounts.pop(connection, None)

    def end_sessions(self, account: str) -> None:
        for connection, name in list(self._accounts.items()):
            if name == account:
                connection.say(Reply(421, "4.7.0", "Log in again"))
                connection.leaving = True  # what it has sent already is not looked at
                connection.close()

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    async def stop(self, seconds: float = 5.0) -> None:
        """Let messages under way be answered, then say goodbye."""
        self.stop_listening()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        for connection in list(self.connections):
            connection.leaving = True
            if connection.shaking:
                connection.abort()
            elif not connection.busy:
                connection.say(Reply(421, "4.3.2", "The server is stopping"))
                connection.close()
        while any(connection.busy for connection in self.connections) and loop.time() < end:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()
