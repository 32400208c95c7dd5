"""INPROGRESS (RFC 9585): a command that takes long says how far it is, so that nobody takes silence for the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailstack.imap.connection import Connection


class Progress:
    """Of the command that a session runs. A clock tells, with the numbers that the command's loops counted last."""

    __slots__ = ("_connection", "_done", "_goal", "_seconds", "_tag", "_timer", "whole_lines")

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._tag = b""
        self._done = self._goal = 0
        self.whole_lines = True  # False while a response is only half written

    def begin(self, tag: bytes) -> None:
        self._tag = tag
        self._done = self._goal = 0
        self.whole_lines = True
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tell)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def count(self, done: int, goal: int) -> None:
        """Messages that are dealt with, of how many."""
        self._done, self._goal = done, goal

    def _tell(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tell)
        if self.whole_lines and self._connection.takes_more:
            self._connection.write(self.line())
            self._connection.flush()

    def line(self) -> bytes:
        """A goal must be above what is done; without numbers both are NIL (RFC 9585 4)."""
        tag = b"NIL" if b"]" in self._tag else b'"' + self._tag + b'"'
        known = 0 <= self._done < self._goal
        numbers = b"%d %d" % (self._done, self._goal) if known else b"NIL NIL"
        return b"* OK [INPROGRESS (%b %b)] Still working\r\n" % (tag, numbers)
