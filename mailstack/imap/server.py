"""All IMAP connections of the server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from mailstack.imap.connection import Connection
from mailstack.imap.session import ImapServices
from mailstack.log import get_logger
from mailstack.net.serving import part, serve
from mailstack.policy.crowd import Crowd

log = get_logger()
LOOK_SECONDS = 15.0  # how often folders of idling sessions are looked at for other programs' work


class ImapServer:
    """Listens on given sockets; knows who is connected."""

    def __init__(self, services: ImapServices) -> None:
        self.services = services
        self._crowd = Crowd("imap", services.limits, services.logins)
        self.connections: set[Connection] = set()
        self._of_account: dict[str, set[Connection]] = {}
        self._servers: list[asyncio.Server] = []
        self._looker: asyncio.Task[None] | None = None

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""
        for one in sockets:
            self._servers.append(await serve(one, lambda: Connection(self, secure=tls is not None), tls, gate=self._crowd))
        if self._looker is None:
            self._looker = asyncio.create_task(self._look())

    def admit(self, connection: Connection) -> str | None:
        """Let a connection in, which counts until it has logged in; or say why not."""
        refusal = self._crowd.refusal(connection.peer)
        if refusal is None:
            self.connections.add(connection)
        return refusal

    def logged_in(self, connection: Connection, account: str) -> None:
        self.services.limits.disconnected(connection.peer)
        connection.account = account
        self._of_account.setdefault(account, set()).add(connection)

    def logged_out(self, connection: Connection) -> None:
        """It counts as one that has not logged in, as it did before."""
        self._leave_account(connection)
        connection.account = None
        self.services.limits.logged_out(connection.peer)

    def _leave_account(self, connection: Connection) -> None:
        others = self._of_account.get(connection.account or "")
        if others is not None:
            others.discard(connection)
            if not others:
                del self._of_account[connection.account or ""]

    def left(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self.services.limits.closed(connection.peer)
        if connection.account is None:
            self.services.limits.disconnected(connection.peer)
            return
        self._leave_account(connection)

    def end_sessions(self, account: str) -> None:
        """The account's password was changed, or it is no more. Others who have a mailbox of its open look again, too."""
        for connection in list(self._of_account.get(account, ())):
            connection.bye("Log in again")
        for connection in list(self.connections):
            if connection.session is not None and connection.session.closed_to():
                log.info("imap.share_ended", peer=connection.peer, account=connection.account, owner=account)

    async def _look(self) -> None:
        """See other programs' changes in mailboxes that clients idle on; end connections that are silent for too long."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            mailboxes = {}
            watches = []
            for connection in list(self.connections):
                if connection.overdue(now):
                    log.info("imap.timed_out", peer=connection.peer, account=connection.account)
                    connection.bye("Autologout: idle for too long")
                    if connection.deaf:
                        connection.abort()  # what it does not read would keep the connection open
                session = connection.session
                if session is None or (session.idling is None and session.watch is None):
                    continue
                if session.selected is not None:
                    mailboxes[session.selected.mailbox.id] = session.selected.mailbox
                if session.watch is not None:
                    watches.append(session.watch)
            for mailbox in mailboxes.values():
                try:
                    await mailbox.check()
                except Exception:
                    log.exception("imap.look_failed", mailbox=mailbox.name)
            for watch in watches:
                try:
                    await watch.look()
                except Exception:
                    log.exception("imap.look_failed", mailbox="all that are watched")

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    async def stop(self) -> None:
        """Say goodbye to everybody."""
        self.stop_listening()
        if self._looker is not None:
            self._looker.cancel()
        await part(self.connections, lambda one: one.bye("The server is stopping"))
