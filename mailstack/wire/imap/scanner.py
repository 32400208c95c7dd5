"""Reading tokens off a command (RFC 9051 9). Literals stand in the text as NUL, number, NUL: a line itself can't hold NUL."""

import re

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import mutf7
from mailstack.wire.imap.framing import CommandLine, Literal

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_ASTRING = re.compile(rb'[^\x00-\x20(){%*"\\\x7f]+')  # ASTRING-CHAR, and 8-bit where UTF-8 is allowed
_LIST = re.compile(rb'[^\x00-\x20(){"\\\x7f]+')
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_LITERAL = re.compile(rb"\x00([0-9]+)\x00")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SET = re.compile(rb"[0-9:,*]+|\$")
NAME_LIMIT = 1000  # mailboxes in one list


class CommandProblem(SyntaxProblem):
    """A command that can't be understood; the answer is BAD with its tag, or untagged BAD when there is none."""

    def __init__(self, reason: str, tag: bytes | None = None, cause: SyntaxProblem | None = None) -> None:
        super().__init__(reason)
        self.tag = tag
        self.cause = cause


class Scanner:
    """One command, read from left to right. Every method raises SyntaxProblem when the text is not what it reads."""

    __slots__ = ("_literals", "position", "text", "utf8")

    def __init__(self, line: CommandLine, *, utf8: bool = False) -> None:
        self.utf8 = utf8
        self.position = 0
        if len(line.parts) == 1:
            text = line.parts[0]
            assert isinstance(text, bytes)
            if b"\0" in text:
                raise SyntaxProblem("NUL in a command")
            self.text = text
            self._literals: tuple[Literal, ...] = ()
            return
        pieces = []
        literals: list[Literal] = []
        for part in line.parts:
            if isinstance(part, Literal):
                pieces.append(b"\0%d\0" % len(literals))
                literals.append(part)
            elif b"\0" in part:
                raise SyntaxProblem("NUL in a command")
            else:
                pieces.append(part)
        self.text = b"".join(pieces)
        self._literals = tuple(literals)

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def peek(self) -> bytes:
        return self.text[self.position : self.position + 1]

    def end(self) -> None:
        if self.text[self.position :].strip(b" "):
            raise SyntaxProblem("something follows the command")

    def take(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise SyntaxProblem(f"{what} expected")
        self.position = found.end()
        return found

    def skip(self, octets: bytes) -> bool:
        """Whether the text goes on with `octets`, which are passed then."""
        if self.text.startswith(octets, self.position):
            self.position += len(octets)
            return True
        return False

    def expect(self, octets: bytes) -> None:
        if not self.skip(octets):
            raise SyntaxProblem(f"{octets.decode('ascii')!r} expected")

    def space(self) -> None:
        """One space; more are forgiven."""
        self.expect(b" ")
        while self.skip(b" "):
            pass

    def atom(self) -> bytes:
        return self.take(_ATOM, "atom")[0]

    def word(self) -> str:
        """An atom in upper case."""
        return self.atom().decode("ascii").upper()

    def number(self, limit: int = 0xFFFFFFFFFFFFFFFF) -> int:
        value = int(self.take(_NUMBER, "number")[0])
        if value > limit:
            raise SyntaxProblem("number too large")
        return value

    def sequence_set(self) -> bytes:
        return self.take(_SET, "sequence set")[0]

    def literal(self) -> Literal | None:
        found = _LITERAL.match(self.text, self.position)
        if found is None:
            return None
        self.position = found.end()
        return self._literals[int(found[1])]

    def _literal_bytes(self) -> bytes | None:
        literal = self.literal()
        if literal is None:
            return None
        if literal.data is None or b"\0" in literal.data:
            raise SyntaxProblem("a literal holds what a string may not")
        return literal.data

    def string(self) -> bytes:
        """Quoted or literal."""
        found = _QUOTED.match(self.text, self.position)
        if found is not None:
            self.position = found.end()
            return _ESCAPED.sub(rb"\1", found[1]) if b"\\" in found[1] else found[1]
        data = self._literal_bytes()
        if data is None:
            raise SyntaxProblem("string expected")
        return data

    def astring(self) -> bytes:
        if self.peek() in (b'"', b"\0"):
            return self.string()
        return self.take(_ASTRING, "word or string")[0]

    def astring_text(self) -> str:
        """An astring that must be UTF-8."""
        try:
            return self.astring().decode("utf-8")
        except UnicodeDecodeError:
            raise SyntaxProblem("not UTF-8") from None

    def mailbox(self) -> str:
        return self._mailbox_name(self.astring())

    def mailboxes(self) -> tuple[str, ...]:
        """One name, or several in parentheses (NOTIFY, ESEARCH)."""
        if not self.skip(b"("):
            return (self.mailbox(),)
        names = [self.mailbox()]
        while not self.skip(b")"):
            self.space()
            names.append(self.mailbox())
            if len(names) > NAME_LIMIT:
                raise SyntaxProblem("too many mailboxes")
        return tuple(names)

    def pattern(self) -> str:
        """A LIST pattern: like a mailbox name with % and *."""
        if self.peek() in (b'"', b"\0"):
            data = self.string()
        else:
            data = self.take(_LIST, "mailbox pattern")[0]
        return self._mailbox_name(data)

    def _mailbox_name(self, data: bytes) -> str:
        if data.isascii() and not (self.utf8 and b"&" in data):
            return mutf7.decode(data)
        # Modern clients send UTF-8 even where they have not enabled it.
        try:
            name = data.decode("utf-8")
        except UnicodeDecodeError:
            raise SyntaxProblem("mailbox name is neither modified UTF-7 nor UTF-8") from None
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
            raise SyntaxProblem("mailbox name with control characters")
        return name

    def nstring_text(self) -> str | None:
        if self.text[self.position : self.position + 3].upper() == b"NIL":
            self.position += 3
            return None
        return self.string().decode("utf-8", "replace")
