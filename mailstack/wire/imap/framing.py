"""Bytes to events, no I/O: lines with their literals (RFC 9051 2.2, 4.3; RFC 7888). The split of the input does not matter."""

import re
from dataclasses import dataclass

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}$")
_APPEND = re.compile(rb"[^ ]+ +APPEND +(.*)", re.IGNORECASE | re.DOTALL)


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

    __slots__ = ("_buffer", "_literal", "_octets", "_parts", "_sink", "_skip_line", "_waiting", "line_limit", "literal_limit")

    def __init__(self, *, line_limit: int, literal_limit: int) -> None:
        self.line_limit = line_limit  # octets of a line; may be raised after login
        self.literal_limit = literal_limit  # octets of all literals of one command that are kept in memory
        self._buffer = b""
        self._parts: list[bytes | Literal] = []
        self._literal: int | None = None  # octets of the accepted literal that are still to come
        self._sink = 0  # 0: keep, 1: stream, 2: drop
        self._waiting: NeedLiteral | None = None
        self._skip_line = False
        self._octets = 0

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else bytes(data)

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def take_buffered(self) -> bytes:
        """What was received after the last event: it belongs to another layer (COMPRESS), or to nobody (STARTTLS)."""
        data, self._buffer = self._buffer, b""
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
        self._parts = []
        self._octets = 0
        if need.synchronising:
            return
        self._literal = need.size
        self._sink = 2

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
            end = self._buffer.find(b"\n")
            if end < 0:
                return self._unfinished()
            line = self._buffer[:end]
            self._buffer = self._buffer[end + 1 :]
            event = self._line(line[:-1] if line.endswith(b"\r") else line)
            if event is not None:
                return event

    @property
    def _starved(self) -> bool:
        """Whether a literal waits for more octets."""
        return self._literal is not None

    def _unfinished(self) -> Event | None:
        if self._skip_line:
            self._buffer = b""
            return None
        if len(self._buffer) > self.line_limit:
            tag = self._tag(self._buffer)
            self._buffer = b""
            self._skip_line = True
            self._parts = []
            self._octets = 0
            return Violation("line too long", tag)
        return None

    def _tag(self, line: bytes) -> bytes:
        first = self._parts[0] if self._parts else line
        return first.partition(b" ")[0][:64] if isinstance(first, bytes) else b""

    def _take_literal(self) -> Event | None:
        assert self._literal is not None
        if self._sink == 0:
            if len(self._buffer) < self._literal:
                return None
            data = self._buffer[: self._literal]
            self._buffer = self._buffer[self._literal :]
            last = self._parts[-1]
            assert isinstance(last, Literal)
            self._parts[-1] = Literal(data, last.size, last.binary)
            self._literal = None
            return None
        data = self._buffer[: self._literal]
        self._buffer = self._buffer[len(data) :]
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
        if self._skip_line:
            self._skip_line = False
            return None
        dropping = self._sink == 3
        self._sink = 0
        if len(line) > self.line_limit:
            tag = self._tag(line)
            self._parts = []
            self._octets = 0
            return None if dropping else Violation("line too long", tag)
        found = _LITERAL.search(line) if line.endswith(b"}") else None
        if found is None:
            if dropping:
                return None
            parts = (*self._parts, line) if self._parts else (line,)
            self._parts = []
            self._octets = 0
            return CommandLine(parts)
        size = int(found[2])
        synchronising = not found[3]
        if dropping:
            if not synchronising:
                self._literal, self._sink = size, 2
            return None
        prefix = b"".join([part for part in self._parts if isinstance(part, bytes)]) + line[: found.start()]
        index = sum(1 for part in self._parts if isinstance(part, Literal))
        self._parts.append(line[: found.start()])
        self._waiting = NeedLiteral(size, synchronising, bool(found[1]), prefix, index)
        return self._waiting

    def fits(self, size: int) -> bool:
        """Whether another literal of this size may be kept in memory with this command."""
        return self._octets + size <= self.literal_limit


def is_message(need: NeedLiteral) -> bool:
    """Whether the announced literal is a message of APPEND, not the mailbox's name before it."""
    found = _APPEND.match(need.prefix)
    return found is not None and (need.index > 0 or bool(found[1].strip()))
