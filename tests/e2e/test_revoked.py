"""What passwd, disable and remove void: sessions that are logged in end within a second, in all doors."""

import asyncio
import random
import smtplib
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mailstack.imap.answers import Refused
from mailstack.imap.connection import Connection
from mailstack.imap.session import ImapServices, Session
from mailstack.message.address import parse_address
from mailstack.policy.login import Login
from mailstack.store.database import Database
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory
from tests.support.server import PASSWORD, Server


@pytest.mark.parametrize("command", [("passwd", "--password-stdin"), ("disable",), ("remove",)])
def test_live_sessions_end(server: Server, account: str, command: tuple[str, ...]) -> None:
    submission = server.submission(account)
    with socket.create_connection(("127.0.0.1", server.ports["imap"]), timeout=20) as connection:
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(f'a LOGIN {account}@a.test "{PASSWORD}"\r\nb IDLE\r\n'.encode())
        assert b"a OK" in stream.readline()
        assert stream.readline().startswith(b"+")
        server.run("user", command[0], f"{account}@a.test", *command[1:], stdin="another password\n")
        assert stream.readline().startswith(b"* BYE")
        assert stream.readline() == b""
    assert submission.sock is not None
    submission.sock.settimeout(20)
    assert submission.getreply()[0] == 421
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submission(account)


async def test_a_change_while_the_account_is_being_opened_counts(tmp_path: Path) -> None:
    """end_sessions() can't end a session that is not logged in yet."""
    database = Database(tmp_path / "mailstack.sqlite3")
    database.start()
    directory = Directory(database, tmp_path / "mail")
    await directory.add_domain("a.test")
    (record,) = await directory.add_accounts([(parse_address("alice@a.test"), "{PLAIN}x", None)], 0.0)
    boxes = Mailboxes("mail.a.test")
    told: list[str] = []
    services = SimpleNamespace(directory=directory, mailboxes=boxes, randomness=random.Random(1), progress_seconds=9.0)
    connection = SimpleNamespace(logged_in=told.append, peer="127.0.0.1", secure=True)
    session = Session(cast(ImapServices, services), cast(Connection, connection))
    task = asyncio.create_task(session.log_in(Login(record)))
    await asyncio.sleep(0)
    await directory.set_password("alice@a.test", "{PLAIN}y")
    with pytest.raises(Refused):
        await task
    assert told == []
    assert session.account is None
    await session.log_in(Login(record))
    assert told == ["alice@a.test"]
    session.close()
    await boxes.close()
    database.close()
