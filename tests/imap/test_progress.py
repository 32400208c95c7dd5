"""INPROGRESS says what the command's loops counted, and nothing in the middle of a response (RFC 9585 4)."""

import asyncio
from typing import cast

from mailstack.imap.connection import Connection
from mailstack.imap.progress import Progress


class Wire:
    """What of a connection is used."""

    takes_more = True

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.flushed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def flush(self) -> None:
        self.flushed.set()


def progress(wire: Wire, seconds: float = 0.001) -> Progress:
    return Progress(cast(Connection, wire), seconds)


def test_numbers() -> None:
    async def run() -> None:
        one = progress(Wire(), 1000)
        one.begin(b"a1")
        assert one.line() == b'* OK [INPROGRESS ("a1" NIL NIL)] Still working\r\n'
        one.count(454, 1000)
        assert one.line() == b'* OK [INPROGRESS ("a1" 454 1000)] Still working\r\n'
        one.count(0, 7)
        assert one.line() == b'* OK [INPROGRESS ("a1" 0 7)] Still working\r\n'
        one.count(7, 7)  # what is done is not in progress
        assert one.line() == b'* OK [INPROGRESS ("a1" NIL NIL)] Still working\r\n'
        one.end()
        one.begin(b"a]2")
        assert one.line() == b"* OK [INPROGRESS (NIL NIL NIL)] Still working\r\n"
        one.end()

    asyncio.run(run())


def test_it_speaks_while_the_command_runs_and_at_ends_of_lines() -> None:
    async def run() -> None:
        wire = Wire()
        one = progress(wire)
        one.begin(b"a1")
        one.count(3, 9)
        await wire.flushed.wait()
        assert wire.lines[0] == b'* OK [INPROGRESS ("a1" 3 9)] Still working\r\n'
        one.whole_lines = False
        heard = len(wire.lines)
        await asyncio.sleep(0.02)
        assert len(wire.lines) == heard
        one.whole_lines = True
        wire.takes_more = False
        await asyncio.sleep(0.02)
        assert len(wire.lines) == heard
        wire.takes_more = True
        one.end()
        await asyncio.sleep(0.02)
        assert len(wire.lines) == heard

    asyncio.run(run())
