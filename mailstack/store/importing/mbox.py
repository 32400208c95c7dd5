"""Messages of an mbox file (RFC 4155), of all four kinds: a `From ` line behind an empty one begins a message.

`>From ` and, by mboxrd, `>>From ` and so on lose one `>`. A Content-Length that leads to the next `From ` line, or to the end,
is believed (mboxcl, mboxcl2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mailstack.message.mbox import from_line_date
from mailstack.store.importing.letters import LINE, Known, Letter, Skipped, read_letter

BEGIN = b"From "
_QUOTED = re.compile(rb">+From ")
_LENGTH = re.compile(rb"content-length:[ \t]*([0-9]{1,18})[ \t\r]*\n", re.IGNORECASE)
_EMPTY = (b"\n", b"\r\n")


class MboxFile:
    """`stream` is at its start. `seekable`: whether a Content-Length can be followed."""

    def __init__(self, stream: IO[bytes], *, seekable: bool) -> None:
        self._stream = stream
        self._seekable = seekable
        self._next: bytes | None = None  # the `From ` line of the next message

    def letters(self, mailbox: str, spool: Path, where: str) -> Iterator[Letter | Skipped]:
        """In the file's order. Raises OSError."""
        line = self._stream.readline(LINE)
        while line in _EMPTY:
            line = self._stream.readline(LINE)
        if not line.startswith(BEGIN):
            if line:
                yield Skipped(where, "no mbox: it does not begin with a From line")
            return
        self._next = line
        while self._next is not None:
            date = from_line_date(self._next)
            self._next = None
            lines = self._lines()
            letter = read_letter(lines, mailbox, spool, Known(date))
            for _ in lines:  # to the next message, where the letter did not want all
                pass
            if letter is not None:
                yield letter

    def _lines(self) -> Iterator[bytes]:
        """Of one message; the empty line before the next `From ` line is not its own."""
        length = None
        begins = True  # whether a line begins here, not a further piece of one
        while line := self._stream.readline(LINE):
            if begins and line.startswith(BEGIN):
                self._next = line  # a message without an empty line
                return
            found = _LENGTH.match(line) if begins else None
            length = int(found[1]) if found else length
            yield line
            empty = begins and line in _EMPTY
            begins = line.endswith(b"\n")
            if empty:
                break
        if length is not None and self._seekable and self._leads(length):
            yield from self._counted(length)
            return
        yield from self._body()

    def _body(self) -> Iterator[bytes]:
        held, begins, first = b"", True, True
        while line := self._stream.readline(LINE):
            if begins and line.startswith(BEGIN) and (held or first):
                self._next = line
                return
            if held:
                yield held
                held = b""
            if begins and line in _EMPTY:
                held = line
            else:
                yield line[1:] if begins and _QUOTED.match(line) else line
            begins, first = line.endswith(b"\n"), False
        # At the end of the file the last empty line is the file's, too.

    def _leads(self, length: int) -> bool:
        """Whether behind so many octets a message begins, or the file ends."""
        place = self._stream.tell()
        try:
            self._stream.seek(0, 2)
            end = self._stream.tell()
            if place + length > end:
                return False
            self._stream.seek(place + length)
            behind = self._stream.read(8).lstrip(b"\r\n")
            return not behind or behind.startswith(BEGIN[: len(behind)])
        finally:
            self._stream.seek(place)

    def _counted(self, length: int) -> Iterator[bytes]:
        """mboxcl2 has bare `From ` lines in its text, and quotes none; mboxcl quotes."""
        place = self._stream.tell()
        bare = any(line.startswith(BEGIN) for line in self._upto(length))
        self._stream.seek(place)
        for line in self._upto(length):
            yield line[1:] if not bare and _QUOTED.match(line) else line
        line = self._stream.readline(LINE)
        while line in _EMPTY:
            line = self._stream.readline(LINE)
        self._next = line if line.startswith(BEGIN) else None

    def _upto(self, length: int) -> Iterator[bytes]:
        while length > 0 and (line := self._stream.readline(min(LINE, length))):
            length -= len(line)
            yield line
