"""Authentication-Results of others: what they found, and what only claims to be ours (RFC 8601)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import field_lines

FIELD = b"authentication-results"
FIELD_LIMIT = 65536  # octets that are read


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method's result: `properties` as ("header", "d", "far.example")."""

    method: str
    result: str
    reason: str
    properties: tuple[tuple[str, str, str], ...]

    def value(self, kind: str, name: str) -> str | None:
        return next((value for type, key, value in self.properties if (type, key) == (kind, name)), None)


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    host: str  # authserv-id, lower case
    results: tuple[MethodResult, ...]

    def of(self, method: str) -> list[MethodResult]:
        return [one for one in self.results if one.method == method]


_LEXEME = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s;=/".()]+)|([;=/.])|[ \t\r\n]+', re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_Words = list[tuple[str, bool]]  # (text, whether it is a delimiter)


def read(value: bytes) -> AuthenticationResults:
    """A field's value. Raises SyntaxProblem. Comments are nothing, as everywhere (RFC 5322 3.2.2)."""
    parts = list(_parts(_lexemes(value)))
    host = _run(parts[0], version=True).lower().rstrip(".")
    if not host:
        raise SyntaxProblem("no authserv-id")
    return AuthenticationResults(host, tuple(_method(part) for part in parts[1:] if part and part != [("none", False)]))


def sealed(value: bytes) -> AuthenticationResults:
    """The value of ARC-Authentication-Results: an instance in front (RFC 8617 4.1.1). Raises SyntaxProblem."""
    _, found, rest = value.partition(b";")
    if not found:
        raise SyntaxProblem("no results")
    return read(rest)


def claims(raw: bytes, host: str) -> bool:
    """Whether a whole Authentication-Results field says that `host` wrote it. One that can't be read: if it names `host`."""
    value = raw.partition(b":")[2]
    try:
        return read(value).host == host
    except SyntaxProblem:
        return host.encode() in value.lower()


def forged(header: bytes, host: str) -> tuple[bytes, ...]:
    """The whole fields of an arriving header that claim to be ours: they can't be (RFC 8601 5)."""
    if b"\n" + FIELD not in b"\n" + header.lower():  # those of ARC are not meant
        return ()
    return tuple(raw for name, raw in field_lines(header) if name == FIELD and claims(raw, host))


def _lexemes(value: bytes) -> Iterator[tuple[str, bool]]:
    if len(value) > FIELD_LIMIT:
        raise SyntaxProblem("too long")
    text = value.decode("utf-8", "replace")
    place = 0
    while place < len(text):
        if text[place] == "(":
            place = _after_comment(text, place)
            yield " ", True
            continue
        found = _LEXEME.match(text, place)
        if found is None:
            raise SyntaxProblem(f"unexpected {text[place]!r}")
        place = found.end()
        if found[1] is not None:
            yield re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL), False
        elif found[2] is not None:
            yield found[2], False
        else:
            yield found[3] or " ", True


def _after_comment(text: str, place: int) -> int:
    depth = 0
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 1
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return place + 1
        place += 1
    raise SyntaxProblem("a comment without its end")


def _parts(lexemes: Iterator[tuple[str, bool]]) -> Iterator[_Words]:
    """What stands between semicolons; blanks only where they separate."""
    part: _Words = []
    for one in lexemes:
        if one == (";", True):
            yield _trimmed(part)
            part = []
        elif one != (" ", True) or (part and part[-1] != (" ", True)):
            part.append(one)
    yield _trimmed(part)


def _trimmed(part: _Words) -> _Words:
    return part[:-1] if part and part[-1] == (" ", True) else part


def _run(part: _Words, *, version: bool = False) -> str:
    """A value up to the next blank. `version`: a number may follow it."""
    blank = next((place for place, one in enumerate(part) if one == (" ", True)), len(part))
    rest = [text for text, _ in part[blank + 1 :]]
    if rest and not (version and len(rest) == 1 and rest[0].isdigit()):
        raise SyntaxProblem("more than one value")
    return "".join(text for text, _ in part[:blank])


def _method(part: _Words) -> MethodResult:
    """method[/version]=result [reason=...] *(ptype.property=value) (RFC 8601 2.2)."""
    groups = list(_assignments(part))
    if not groups:
        raise SyntaxProblem("no result")
    (name, result), *others = groups
    method = name.partition("/")[0].lower()
    if _NAME.fullmatch(method) is None:
        raise SyntaxProblem("bad method")
    reason, properties = "", []
    for key, value in others:
        kind, dot, what = key.lower().partition(".")
        if dot:
            properties.append((kind, what, value))
        elif key.lower() == "reason":
            reason = value
    return MethodResult(method, result.lower(), reason, tuple(properties))


def _assignments(part: _Words) -> Iterator[tuple[str, str]]:
    """key=value, with blanks allowed around "=", "." and "/"."""
    words = [one for place, one in enumerate(part) if one != (" ", True) or not _glues(part, place)]
    group: _Words = []
    for one in [*words, (" ", True)]:
        if one != (" ", True):
            group.append(one)
            continue
        if group:
            if ("=", True) not in group:
                raise SyntaxProblem("not a result")
            place = group.index(("=", True))
            yield "".join(text for text, _ in group[:place]), "".join(text for text, _ in group[place + 1 :])
        group = []


def _glues(part: _Words, place: int) -> bool:
    """A blank beside a delimiter separates nothing."""
    around = part[max(0, place - 1) : place] + part[place + 1 : place + 2]
    return any(delimiter and text in "=./" for text, delimiter in around)
