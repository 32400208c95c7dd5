"""A script's octets to tokens (RFC 5228 8.1)."""

import enum
import re
from collections.abc import Iterator

import msgspec

from mailstack.sieve.problem import SieveProblem

MAX_NUMBER = (1 << 63) - 1
_SCALE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TOKEN = re.compile(
    r"(?P<blank>(?:[ \t\r\n]|\#[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)++)"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*+)"'
    r"|(?P<text>[tT][eE][xX][tT]:[ \t]*+(?:\#[^\n]*+)?+\n)"
    r"|:(?P<tag>[A-Za-z_][A-Za-z0-9_]*+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*+)"
    r"|(?P<number>[0-9]++)(?P<scale>[kKmMgG]?)(?![A-Za-z0-9_])"
    r"|(?P<sign>[\[\]{}(),;])",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TEXT_END = re.compile(r"^\.(?:\n|\Z)", re.MULTILINE)
_STUFFED = re.compile(r"^\.", re.MULTILINE)


class Kind(enum.Enum):
    """What a token is."""

    NAME = "a name"
    TAG = "a tag"
    NUMBER = "a number"
    STRING = "a string"
    SIGN = "a sign"
    END = "the end of the script"


class Token(msgspec.Struct, frozen=True):
    """One token: names and tags in lower case, strings without their quotes and with CRLF for line ends."""

    kind: Kind
    text: str
    number: int
    line: int


def tokens(source: bytes, limit: int) -> Iterator[Token]:
    """The tokens of a script; the last one is END. Raises SieveProblem."""
    text = _decoded(source, limit)
    position, line = 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise SieveProblem(line, _complaint(text, position))
        position = found.end()
        kind = found.lastgroup
        if kind == "blank":
            line += found[0].count("\n")
            continue
        if kind == "text":
            value, position = _multiline(text, position, line)
            yield Token(Kind.STRING, value, 0, line)
            line += text.count("\n", found.start(), position)
            continue
        yield _token(found, kind, line)
        if kind == "quoted":
            line += found[0].count("\n")
    yield Token(Kind.END, "", 0, line)


def _token(found: re.Match[str], kind: str | None, line: int) -> Token:
    if kind == "quoted":
        value = found["quoted"]
        if "\\" in value:
            value = _ESCAPED.sub(r"\1", value)
        return Token(Kind.STRING, value.replace("\n", "\r\n"), 0, line)
    if kind == "tag":
        return Token(Kind.TAG, found["tag"].lower(), 0, line)
    if kind == "name":
        return Token(Kind.NAME, found["name"].lower(), 0, line)
    if kind == "sign":
        return Token(Kind.SIGN, found["sign"], 0, line)
    digits = found["number"]
    number = int(digits) * _SCALE[found["scale"].lower()] if len(digits) < 20 else MAX_NUMBER + 1
    if number > MAX_NUMBER:
        raise SieveProblem(line, "the number is too large")
    return Token(Kind.NUMBER, digits, number, line)


def _decoded(source: bytes, limit: int) -> str:
    if len(source) > limit:
        raise SieveProblem(1, f"the script is longer than {limit} octets")
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise SieveProblem(source.count(b"\n", 0, problem.start) + 1, "the script is not UTF-8") from None
    if "\0" in text:
        raise SieveProblem(text.count("\n", 0, text.index("\0")) + 1, "the script has a NUL in it")
    return text.replace("\r\n", "\n")


def _multiline(text: str, start: int, line: int) -> tuple[str, int]:
    """The text from `start` up to a line that is a dot alone, without the stuffed dots, and where it ends."""
    end = _TEXT_END.search(text, start)
    if end is None:
        raise SieveProblem(line, "the text that begins here has no end: a line with nothing but a dot")
    return _STUFFED.sub("", text[start : end.start()]).replace("\n", "\r\n"), end.end()


def _complaint(text: str, position: int) -> str:
    if text.startswith("/*", position):
        return "the comment that begins here has no end"
    if text.startswith('"', position):
        return "the string that begins here has no end"
    character = text[position]
    if character.isdigit():
        return "a number goes on with letters"
    return f"unexpected character {character!r}"
