"""How a connection ends: by silence, also of a client that does not read; and what is left of one that was lost."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailstack.door.connection import DoorConnection
from mailstack.door.server import DoorServer
from mailstack.imap.connection import Connection as ImapConnection
from mailstack.managesieve.connection import Connection as SieveConnection
from mailstack.pop3.connection import Connection as Pop3Connection

KINDS = (ImapConnection, Pop3Connection, SieveConnection)


class Wire(asyncio.Transport):
    """A transport whose peer takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Limits:
    """Counts who has not logged in."""

    def __init__(self) -> None:
        self.strangers = 1

    def disconnected(self, _: str) -> None:
        self.strangers -= 1

    def closed(self, _: str) -> None:
        pass


def connection_of(kind: type[Any], server: object) -> tuple[DoorConnection, Wire]:
    one: DoorConnection = kind(server, secure=True)
    one.transport = wire = Wire()
    return one, wire


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_does_not_read_is_cut_off(kind: type[Any]) -> None:
    one, wire = connection_of(kind, SimpleNamespace())
    one.pause_writing()
    assert one.overdue(one.IDLE_SECONDS + 1)
    one.time_out()
    assert wire.aborted


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_only_silent_gets_what_was_written(kind: type[Any]) -> None:
    one, wire = connection_of(kind, SimpleNamespace())
    one.time_out()
    assert wire.closed
    assert not wire.aborted
    assert (b"BYE" in wire.written) == (kind is ImapConnection)


def test_one_that_is_lost_during_its_login_is_forgotten() -> None:
    limits = Limits()
    server: DoorServer[Any] = DoorServer("test", cast(Any, SimpleNamespace(limits=limits, logins=None)))
    one, wire = connection_of(Pop3Connection, server)
    server.connections.add(one)
    server.left(one)
    server.logged_in(one, "alice@a.test")
    server.end_sessions("alice@a.test")
    assert not wire.closed
    assert limits.strangers == 0


def test_a_connection_has_no_room_for_more() -> None:
    """There are thousands of them."""
    assert not hasattr(connection_of(ImapConnection, SimpleNamespace())[0], "__dict__")
