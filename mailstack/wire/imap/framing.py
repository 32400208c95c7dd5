"""Bytes to events, no I/O: lines with their literals (RFC 9051 2.2, 4.3; RFC 7888). The split of the input does not matter."""

import re
from dataclasses import dataclass

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}$")
_LITERAL_LENGTH = 25  # of the longest announcement, with its CR
_APPEND = re.compile(rb"[^ ]+ +(?:APPEND|(?:UID +)?REPLACE +[^ ]+) +(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal inside a command. `data` is None when it was streamed."""

    data: bytes | None
    size: int
    binary: bool = False


@dataclass(frozen=True, slots=True)
class NeedLiteral:
    """A literal is announced: call accept() or refuse() before anything else."""

    size: int
    synchronising: bool
    binary: bool
    prefix: bytes  # the command so far, as it was sent
    index: int  # how many literals came before in this command


@dataclass(frozen=True, slots=True)
class LiteralData:
    """A piece of a streamed literal."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A whole command without its line end: bytes and literals in turn."""

    parts: tuple[bytes | Literal, ...]

    @property
    def tag(self) -> bytes:
        first = self.parts[0]
        return first.partition(b" ")[0] if isinstance(first, bytes) else b""


@dataclass(frozen=True, slots=True)
class Violation:
    """What came breaks a limit. The rest of the line was dropped; `fatal` when the stream can't be followed any further."""

    reason: str
    tag: bytes
    fatal: bool = False


Event = NeedLiteral | LiteralData | CommandLine | Violation


class Framer:
    """Feed it bytes, take events until None. An idle one holds no buffer."""

    __slots__ = ("_at", "_buffer", "_length", "_literal", "_octets", "_parts", "_sink", "_skip_line", "_waiting", "line_limit",
                 "literal_limit")  # fmt: skip

    def __init__(self, *, line_limit: int, literal_limit: int) -> None:
        self.line_limit = line_limit  # octets of the lines of one command; may be raised after login
        self.literal_limit = literal_limit  # octets of all literals of one command that are kept in memory
        self._buffer = b""
        self._at = 0  # how much of the buffer was read: many short lines in one block are not moved one by one
        self._parts: list[bytes | Literal] = []
        self._literal: int | None = None  # octets of the accepted literal that are still to come
        self._sink = 0  # 0: keep, 1: stream, 2: drop
        self._waiting: NeedLiteral | None = None
        self._skip_line = False
        self._octets = 0  # of the literals of this command that are kept
        self._length = 0  # of the lines of this command

    def feed(self, data: bytes) -> None:
        left = self.take_buffered()
        self._buffer = left + data if left else bytes(data)

    @property
    def buffered(self) -> int:
        return len(self._buffer) - self._at

    def take_buffered(self) -> bytes:
        """What was received after the last event: it belongs to another layer (COMPRESS), or to nobody (STARTTLS)."""
        data = self._buffer[self._at :] if self._at else self._buffer
        self._drop()
        return data

    def _drop(self) -> None:
        self._buffer, self._at = b"", 0

    def _take(self, octets: int) -> bytes:
        """The next octets of the buffer, as many as there are."""
        end = self._at + octets
        data = self._buffer[self._at : end]
        if end >= len(self._buffer):
            self._drop()
        else:
            self._at = end
        return data

    def accept(self, *, stream: bool = False) -> None:
        """Take the announced literal: kept in the command, or given piece by piece as LiteralData."""
        assert self._waiting is not None
        need, self._waiting = self._waiting, None
        self._literal = need.size
        self._sink = 1 if stream else 0
        self._parts.append(Literal(None if stream or need.size else b"", need.size, need.binary))
        if not stream:
            self._octets += need.size

    def refuse(self) -> None:
        """Drop the command. A literal that comes all the same (non-synchronising) is read and dropped, and the line's rest."""
        assert self._waiting is not None
        need, self._waiting = self._waiting, None
        self._forget()
        if not need.synchronising:
            self._pass_over(need.size)

    def _forget(self) -> None:
        """The command so far."""
        self._parts = []
        self._octets = self._length = 0

    def _pass_over(self, size: int) -> None:
        """A literal that nobody wants comes all the same, and the rest of its line after it."""
        self._literal, self._sink = size, 2

    def next_event(self) -> Event | None:
        while True:
            if self._waiting is not None:
                return self._waiting
            if self._literal is not None:
                event = self._take_literal()
                if event is not None:
                    return event
                if self._starved:
                    return None
                continue
            end = self._buffer.find(b"\n", self._at)
            if end < 0:
                return self._unfinished()
            line = self._take(end + 1 - self._at)
            event = self._line(line[:-2] if line.endswith(b"\r\n") else line[:-1])
            if event is not None:
                return event

    @property
    def _starved(self) -> bool:
        """Whether a literal waits for more octets."""
        return self._literal is not None

    def _unfinished(self) -> Event | None:
        found: Event | None = None
        if not self._skip_line:
            if self._length + self.buffered <= self.line_limit + 1:  # a CR may be the last
                return None
            tag = self._tag(self._buffer[self._at : self._at + 65])
            dropping, self._sink = self._sink == 3, 0
            self._skip_line = True
            self._forget()
            found = None if dropping else Violation("line too long", tag)
        # The end of the line may announce a literal that comes all the same.
        self._buffer, self._at = self._buffer[max(self._at, len(self._buffer) - _LITERAL_LENGTH) :], 0
        return found

    def _tag(self, line: bytes) -> bytes:
        first = self._parts[0] if self._parts else line
        return first.partition(b" ")[0][:64] if isinstance(first, bytes) else b""

    def _take_literal(self) -> Event | None:
        assert self._literal is not None
        if self._sink == 0:
            if self.buffered < self._literal:
                return None
            data = self._take(self._literal)
            last = self._parts[-1]
            assert isinstance(last, Literal)
            self._parts[-1] = Literal(data, last.size, last.binary)
            self._literal = None
            return None
        data = self._take(self._literal)
        self._literal -= len(data)
        finished = self._literal == 0
        if finished:
            self._literal = None
        if self._sink == 2:
            if finished:
                self._sink = 3
            return None
        if data or finished:
            return LiteralData(data, finished)
        return None

    def _line(self, line: bytes) -> Event | None:
        dropping = self._sink == 3 or self._skip_line
        self._sink = 0
        self._skip_line = False
        found = _LITERAL.search(line) if line.endswith(b"}") else None
        self._length += len(line)
        if dropping or self._length > self.line_limit:
            tag = self._tag(line)
            self._forget()
            if found is not None and found[3]:
                self._pass_over(int(found[2]))
            return None if dropping else Violation("line too long", tag)
        if found is None:
            parts = (*self._parts, line) if self._parts else (line,)
            self._forget()
            return CommandLine(parts)
        size = int(found[2])
        synchronising = not found[3]
        prefix = b"".join([part for part in self._parts if isinstance(part, bytes)]) + line[: found.start()]
        index = sum(1 for part in self._parts if isinstance(part, Literal))
        self._parts.append(line[: found.start()])
        self._waiting = NeedLiteral(size, synchronising, bool(found[1]), prefix, index)
        return self._waiting

    def fits(self, size: int) -> bool:
        """Whether another literal of this size may be kept in memory with this command."""
        return self._octets + size <= self.literal_limit


_URL = re.compile(rb" CATENATE \(.*[( ]URL $", re.IGNORECASE | re.DOTALL)


def is_message(need: NeedLiteral) -> bool:
    """Whether the announced literal is a message of APPEND or REPLACE, not the mailbox's name before it."""
    found = _APPEND.match(need.prefix)
    return found is not None and (need.index > 0 or bool(found[1].strip())) and _URL.search(need.prefix) is None
