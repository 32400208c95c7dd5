"""POP3's words (RFC 1939): lines to commands, and messages to dot-stuffed lines, block by block."""

import re
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

LINE_LIMIT = 255  # RFC 2449 4: octets of a command with its end
LOGIN_LINE_LIMIT = 12288  # of AUTH and what follows it (RFC 5034 4)
_NUMBER = re.compile(rb"[0-9]{1,10}")
_BARE = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in upper case and what stands behind it, as it was sent."""

    verb: str
    argument: bytes

    def text(self) -> str:
        """Raises SyntaxProblem."""
        try:
            return self.argument.decode("utf-8")
        except UnicodeDecodeError:
            raise SyntaxProblem("not UTF-8") from None

    def nothing(self) -> None:
        """Raise SyntaxProblem where something stands behind the verb."""
        if self.argument:
            raise SyntaxProblem(f"{self.verb} takes no argument")

    def numbers(self, least: int, most: int) -> list[int]:
        """Numbers between spaces. Raises SyntaxProblem."""
        words = self.argument.split(b" ") if self.argument else []
        if not least <= len(words) <= most or not all(_NUMBER.fullmatch(word) for word in words):
            raise SyntaxProblem(f"{self.verb} takes other arguments")
        return [int(word) for word in words]


def parse(line: bytes) -> Command:
    """A line without its end. Raises SyntaxProblem."""
    verb, _, argument = line.partition(b" ")
    # PASS's argument may hold spaces, at its end too (RFC 1939 7); elsewhere they mean nothing.
    if not verb.isalpha() or len(verb) > 10:
        raise SyntaxProblem("not a command")
    name = verb.decode("ascii").upper()
    return Command(name, argument if name == "PASS" else argument.strip(b" "))


class Lines:
    """Octets to lines, whatever the packets. A line that is too long is None, once."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._skipping = False
        self.limit = LINE_LIMIT

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes:
        """What was not read yet, which is forgotten."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return data

    def next(self) -> bytes | None:
        """The next line without its end. Raises EOFError when there is none yet."""
        while True:
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0:
                if len(self._buffer) > LOGIN_LINE_LIMIT:
                    self._buffer.clear()
                    self._skipping = True
                self._scanned = len(self._buffer)
                raise EOFError
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            if self._skipping:
                self._skipping = False
                return None
            return line.removesuffix(b"\r") if len(line) < self._limit_of(line) else None

    def _limit_of(self, line: bytes) -> int:
        return LOGIN_LINE_LIMIT if line[:5].upper() == b"AUTH " else self.limit


class Stuffer:
    """A message as lines of a multi-line response (RFC 1939 3). Bare LF becomes CRLF: clients take both as an end of line."""

    def __init__(self, body_lines: int | None = None) -> None:
        self._last = b"\r\n"  # what was sent last, as far as it matters
        self._body_lines = body_lines  # of TOP: how many follow the blank line
        self._in_body = False
        self.done = False  # whether no more is wanted

    def feed(self, block: bytes) -> bytes:
        """A block's lines, stuffed."""
        if not block or self.done:
            return b""
        # A CR at the end waits for what follows it.
        held = self._last[-1:] == b"\r"
        if held:
            block = b"\r" + block
        waits = block.endswith(b"\r")
        data = block[:-1] if waits else block
        if data.count(b"\n") != data.count(b"\r\n"):
            data = _BARE.sub(b"\r\n", data)
        at_start = self._last[:2] == b"\r\n"
        if self._body_lines is not None:
            data = self._cut(data, at_start)
        if not data:
            self._last = (b"\r\n" if at_start else b"xx") + (b"\r" if waits else b"")
            return b""
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        if at_start and stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._last = (b"\r\n" if data.endswith(b"\r\n") else b"xx") + (b"\r" if waits else b"")
        return stuffed

    def _cut(self, data: bytes, at_start: bool) -> bytes:
        """TOP's part: the header, the blank line, and some lines of the body."""
        assert self._body_lines is not None
        place = 0
        if not self._in_body:
            if at_start and data.startswith(b"\r\n"):
                place = 2
            else:
                blank = data.find(b"\r\n\r\n")
                if blank < 0:
                    return data
                place = blank + 4
            self._in_body = True
        while self._body_lines:
            end = data.find(b"\r\n", place)
            if end < 0:
                return data
            place = end + 2
            self._body_lines -= 1
        self.done = True
        return data[:place]

    def end(self) -> bytes:
        """What closes the response."""
        held = b"\r" if self._last[2:] and not self.done else b""
        return held + (b"" if self._last[:2] == b"\r\n" and not held else b"\r\n") + b".\r\n"
