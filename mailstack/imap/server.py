"""All IMAP connections of the server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from mailstack.door.server import DoorServer
from mailstack.imap.connection import Connection
from mailstack.imap.session import ImapServices
from mailstack.log import get_logger

log = get_logger()


class ImapServer(DoorServer[Connection]):
    """Whose sessions see what other programs do to their mailboxes."""

    def __init__(self, services: ImapServices) -> None:
        super().__init__("imap", services)
        self.services: ImapServices = services

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve on sockets; with `tls` from the first byte on."""
        await self.serve_on(sockets, lambda: Connection(self, secure=tls is not None), tls)

    def end_sessions(self, account: str) -> None:
        """Others who have a mailbox of its open look again, too."""
        super().end_sessions(account)
        for connection in list(self.connections):
            if connection.session is not None and connection.session.closed_to():
                log.info("imap.share_ended", peer=connection.peer, account=connection.account, owner=account)

    async def look_around(self) -> None:
        """See other programs' changes in mailboxes that clients idle on."""
        mailboxes = {}
        watches = []
        for connection in list(self.connections):
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
