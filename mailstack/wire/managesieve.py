"""ManageSieve's words (RFC 5804 4): octets to commands, whatever the packets, and values to octets."""

import re
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

LINE_LIMIT = 8192  # octets of a line without its literals
QUOTED_LIMIT = 1024  # RFC 5804 1.2: octets between quotes
LOGIN_LIMIT = 16384  # octets of a string from somebody who has not logged in
SKIP_LIMIT = 16 << 20  # octets of a literal that is too large and is passed over; more ends the connection
_LITERAL = re.compile(rb"\{([0-9]{1,10})(\+?)\}$")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_ATOM = re.compile(rb"[!#-'*-\[\]-z|~]+")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*)"')

Value = bytes | int  # a string or a number


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in upper case, "" where the line is one string alone, and its arguments."""

    verb: str
    arguments: tuple[Value, ...] = ()

    def strings(self, least: int, most: int | None = None) -> list[str]:
        """Raises SyntaxProblem."""
        if not least <= len(self.arguments) <= (least if most is None else most):
            raise SyntaxProblem(f"{self.verb} takes other arguments")
        return [self._text(value) for value in self.arguments]

    def octets(self, place: int) -> bytes:
        value = self.arguments[place] if place < len(self.arguments) else None
        if not isinstance(value, bytes):
            raise SyntaxProblem(f"{self.verb}: a string is needed")
        return value

    def number(self, place: int) -> int:
        value = self.arguments[place] if place < len(self.arguments) else None
        if not isinstance(value, int) or value >= 1 << 32:
            raise SyntaxProblem(f"{self.verb}: a number is needed")
        return value

    def text(self, place: int) -> str:
        return self._text(self.octets(place))

    def exactly(self, count: int) -> None:
        if len(self.arguments) != count:
            raise SyntaxProblem(f"{self.verb} takes other arguments")

    def _text(self, value: Value) -> str:
        if not isinstance(value, bytes):
            raise SyntaxProblem(f"{self.verb}: a string is needed")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise SyntaxProblem("not UTF-8") from None


class TooLarge(SyntaxProblem):
    """A literal larger than is taken; it was passed over."""


class Framer:
    """feed(), then next(). `limit`: octets of one literal."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._parts: list[bytes] = []  # lines and literals by turns
        self._wanted: int | None = None  # octets of the literal under way
        self._skip = 0  # octets of it that are still to be passed over
        self._problem: SyntaxProblem | None = None
        self.limit = LOGIN_LIMIT

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._buffer += data

    def take(self) -> bytes:
        """What was not read yet, which is forgotten."""
        data = b"".join(self._parts) + bytes(self._buffer)
        self._buffer.clear()
        self._parts, self._wanted, self._skip, self._scanned, self._problem = [], None, 0, 0, None
        return data

    def next(self) -> Command:
        """Raises EOFError when no command is whole, SyntaxProblem for one that is none, OverflowError for one without end."""
        while True:
            if self._wanted is not None:
                if not self._literal():
                    raise EOFError
            elif self._line():
                parts, self._parts = self._parts, []
                problem, self._problem = self._problem, None
                if problem is not None:
                    raise problem
                return _parse(parts)

    def _literal(self) -> bool:
        """Take the literal under way; False while it is not whole."""
        assert self._wanted is not None
        if self._skip:
            return False
        if self._problem is None:
            if len(self._buffer) < self._wanted:
                return False
            self._parts.append(bytes(self._buffer[: self._wanted]))
            del self._buffer[: self._wanted]
        self._wanted = None
        return True

    def _line(self) -> bool:
        """Take a line; True when it ends the command. Raises EOFError while it is not whole."""
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > LINE_LIMIT + LOGIN_LIMIT:
                raise OverflowError
            raise EOFError
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._scanned = 0
        if len(line) > LINE_LIMIT + LOGIN_LIMIT or len(self._parts) > 16:
            self._problem = SyntaxProblem("too long")
        found = _LITERAL.search(line)
        if found is None:
            self._parts.append(line)
            return True
        self._parts.append(line[: found.start()])
        self._announce(int(found[1]), plus=bool(found[2]))
        return False

    def _announce(self, size: int, *, plus: bool) -> None:
        if not plus:
            # RFC 5804 4: clients never wait; what follows is taken for the literal all the same.
            self._problem = SyntaxProblem("a literal is written {n+}")
        self._wanted = size
        if size > self.limit:
            if size > SKIP_LIMIT:
                raise OverflowError
            self._problem = TooLarge("too large")
        if self._problem is not None:
            passed = min(size, len(self._buffer))
            del self._buffer[:passed]
            self._skip = size - passed


def _parse(parts: list[bytes]) -> Command:
    """Lines and literals by turns. Raises SyntaxProblem."""
    values: list[Value] = []
    verb = ""
    for number, part in enumerate(parts):
        if number % 2:
            values.append(part)
            continue
        for token in _tokens(part, first=number == 0, last=number == len(parts) - 1):
            if isinstance(token, str):
                if verb or values:
                    raise SyntaxProblem("a string or a number is needed")
                verb = token
            else:
                values.append(token)
    if not verb and len(values) != 1:
        raise SyntaxProblem("not a command")
    return Command(verb, tuple(values))


def _tokens(line: bytes, *, first: bool, last: bool) -> list[Value | str]:
    """What stands on a line between literals. Strings are apart by one blank."""
    found: list[Value | str] = []
    position = 0
    if not first and line:
        position = _blank(line, position)
    while position < len(line):
        match = _QUOTED.match(line, position)
        if match is not None:
            if len(match[1]) > LOGIN_LIMIT:
                raise SyntaxProblem("too long between quotes")
            found.append(_ESCAPE.sub(rb"\1", match[1]))
        elif (match := _NUMBER.match(line, position)) is not None:
            found.append(int(match[0]))
        elif (match := _ATOM.match(line, position)) is not None:
            found.append(match[0].decode("ascii").upper())
        else:
            raise SyntaxProblem("neither a string nor a number")
        position = match.end()
        if position < len(line):
            position = _blank(line, position)
            if position == len(line) and last:
                break
    return found


def _blank(line: bytes, position: int) -> int:
    if line[position : position + 1] != b" ":
        raise SyntaxProblem("a blank is missing")
    return position + 1


def quoted(text: str | bytes) -> bytes:
    """A string: between quotes where it can be, else a literal."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if len(data) > QUOTED_LIMIT or any(one in data for one in b"\r\n\0"):
        return literal(data)
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def literal(data: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(data), data)


def reply(kind: str, code: str | None = None, words: str = "", value: str | bytes | None = None) -> bytes:
    """OK, NO or BYE, with a response code, what belongs to the code, and words for people (RFC 5804 1.3)."""
    line = kind.encode()
    if code is not None:
        line += b" (" + code.encode() + (b" " + quoted(value) if value is not None else b"") + b")"
    if words:
        line += b" " + quoted(words)
    return line + b"\r\n"
