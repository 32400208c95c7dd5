"""Address lists of a header (RFC 5322 3.4, 4.4), read as far as they can be, in raw octets."""

import re
from dataclasses import dataclass

_SPACE = rb"[ \t\r\n]*+"
# The forms of nearly all mail: `local@domain`, `<local@domain>`, `Name <local@domain>`, `"Name" <local@domain>`.
_SIMPLE = re.compile(
    _SPACE + rb'(?:"([^"\\\r\n]*)"' + _SPACE + rb"<|([^\x00-\x1f\x7f\"(),:;<>@\[\]\\]*+)<)?"
    rb"([^\x00-\x20\x7f\"(),:;<>@\[\]\\]++)@([^\x00-\x20\x7f\"(),:;<>@\[\]\\]++)(>)?" + _SPACE + rb"(?:,|\Z)"
)
_TOKEN = re.compile(
    rb'[ \t\r\n]+|"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|(\()|\[[^\[\]]*\]?|[<>@,:;]|[^ \t\r\n"(\[<>@,:;]+',
    re.DOTALL,
)
_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One mailbox. Names are raw: encoded words as they are, quoted strings without their quotes."""

    name: bytes | None
    route: bytes | None
    local: bytes
    domain: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """The start of a group, with its name, or its end, with None."""

    name: bytes | None


def mailboxes(value: bytes, most: int | None = None) -> list[Entry | Group]:
    """The entries of an unfolded value, in order; only the first ones, where `most` says how many. Never raises."""
    entries: list[Entry | Group] = []
    position = 0
    while position < len(value) and (most is None or len(entries) < most):
        simple = _SIMPLE.match(value, position)
        # An angle bracket opens and closes, or there is none.
        if simple is None or (simple[1] is not None or simple[2] is not None) is not (simple[5] is not None):
            return _Reader(value).read(most)
        name = simple[1] if simple[1] is not None else simple[2]
        entries.append(Entry(name.strip() or None if name else None, None, simple[3], simple[4]))
        position = simple.end()
    return entries


class _Reader:
    """The slow way: tokens, with a phrase that may turn out to be a name, an address, or a group's name."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._entries: list[Entry | Group] = []
        self._in_group = False
        self._clear()

    def _clear(self) -> None:
        self._phrase: list[bytearray] = []
        self._spaced = False
        self._comment: bytes | None = None
        self._at: int | None = None  # how much of the phrase stands before the last @
        self._angle: list[bytearray] | None = None
        self._angle_at: int | None = None
        self._closed = False
        self._route: bytes | None = None

    def read(self, most: int | None) -> list[Entry | Group]:
        position = 0
        while position < len(self._value) and (most is None or len(self._entries) < most):
            token = _TOKEN.match(self._value, position)
            assert token is not None  # the pattern matches everywhere
            position = token.end()
            if token[2] is not None:
                position = self._read_comment(position)
            elif token[1] is not None:
                self._word(_ESCAPED.sub(rb"\1", token[1]))
            else:
                self._token(token[0])
        self._flush()
        if self._in_group:
            self._entries.append(Group(None))
        return self._entries

    def _token(self, token: bytes) -> None:
        inside = self._angle is not None and not self._closed
        if token[0] in b" \t\r\n":
            self._spaced = True
        elif token == b"," and not (inside and self._in_route()):
            self._flush()
        elif token == b";" and not inside:
            self._flush()
            if self._in_group:
                self._entries.append(Group(None))
                self._in_group = False
        elif token == b"<" and not inside:
            if self._closed:
                # Two addresses where one may stand: nobody may take the first for the author, and we the last.
                self._flush()
            self._angle, self._angle_at, self._closed = [], None, False
        elif token == b">" and inside:
            self._closed = True
        elif token == b":" and inside and self._in_route():
            self._end_route()
        elif token == b":" and not inside and self._angle is None and not self._in_group and self._at is None:
            self._entries.append(Group(b" ".join(self._phrase)))
            self._clear()
            self._in_group = True
        elif token == b"@":
            self._sign()
        else:
            self._word(token)

    def _sign(self) -> None:
        """An @: what follows the last one is the domain; an earlier one belongs to the local part."""
        target = self._phrase if self._angle is None else self._angle
        if self._angle is None:
            if self._at is not None:
                target.insert(self._at, bytearray(b"@"))
            self._at = len(target)
        elif not self._closed:
            if self._angle_at is not None:
                target.insert(self._angle_at, bytearray(b"@"))
            self._angle_at = len(target)
        self._spaced = False

    def _word(self, word: bytes) -> None:
        if self._angle is None:
            # Words of a phrase stay apart; words that touch, as in "a"b, are one.
            if self._phrase and not self._spaced and self._at is None:
                self._phrase[-1] += word
            else:
                self._phrase.append(bytearray(word))
        elif not self._closed:
            self._angle.append(bytearray(word))
        self._spaced = False

    def _in_route(self) -> bool:
        return self._angle is not None and self._angle_at == 0

    def _end_route(self) -> None:
        assert self._angle is not None
        self._route = b"@" + b"".join(self._angle)
        self._angle, self._angle_at = [], None

    def _read_comment(self, position: int) -> int:
        depth = 1
        start = position
        while depth:
            found = _COMMENT.search(self._value, position)
            if found is None:
                position = len(self._value) + 1
                break
            position = found.end()
            depth += {b"(": 1, b")": -1}.get(found[0], 0)
        text = _ESCAPED.sub(rb"\1", self._value[start : position - 1]).strip()
        if text:
            self._comment = text
        self._spaced = True
        return position

    def _flush(self) -> None:
        if self._angle is not None:
            cut = self._angle_at if self._angle_at is not None else len(self._angle)
            local, domain = b"".join(self._angle[:cut]), b"".join(self._angle[cut:])
            name = _signed(self._phrase, self._at)
            if local or domain or name:
                self._entries.append(Entry(name or self._comment, self._route, local, domain))
        elif self._phrase or self._at is not None:
            if self._at is None:
                self._entries.append(Entry(self._comment, None, b" ".join(self._phrase), b""))
            else:
                local, domain = b"".join(self._phrase[: self._at]), b"".join(self._phrase[self._at :])
                self._entries.append(Entry(self._comment, None, local, domain))
        self._clear()


def _signed(phrase: list[bytearray], at: int | None) -> bytes:
    """The words of a display name, with an @ in it put back: `bob@example.org <bob@example.org>`."""
    if at is None:
        return b" ".join(phrase)
    return b" ".join(phrase[:at]) + b"@" + b" ".join(phrase[at:])
