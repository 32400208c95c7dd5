"""Strings of a script: constant, or made anew in each run from what variables hold (RFC 5229 3)."""

import re
from collections.abc import Callable

from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.tree import Strings

_REFERENCE = re.compile(r"\$\{(?:([0-9]+)|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*))\}")
Maker = Callable[[Run], str]


class Text:
    """One string."""

    __slots__ = ("constant", "pieces", "source")

    def __init__(self, source: str, variables: bool) -> None:
        self.source = source
        self.pieces = _pieces(source) if variables and "${" in source else ()
        self.constant: str | None = None if self.pieces else source

    def __call__(self, run: Run) -> str:
        if self.constant is not None:
            return self.constant
        text = "".join([piece if isinstance(piece, str) else piece(run) for piece in self.pieces])
        run.spend(len(text))
        return text[: run.limits.text]


class Texts:
    """A list of strings."""

    __slots__ = ("constant", "texts")

    def __init__(self, texts: tuple[Text, ...]) -> None:
        self.texts = texts
        known = [text.constant for text in texts if text.constant is not None]
        self.constant: tuple[str, ...] | None = tuple(known) if len(known) == len(texts) else None

    def __call__(self, run: Run) -> tuple[str, ...]:
        if self.constant is not None:
            return self.constant
        return tuple([text(run) for text in self.texts])


def texts_of(strings: Strings, required: frozenset[str], words: bool = False) -> Texts:
    """The strings of an argument, or with `words` each word of them. Raises SieveProblem for variables in a namespace that
    there is not (RFC 5229 3).
    """
    variables = "variables" in required
    if variables:
        for text in strings.texts:
            _check_namespaces(text, "include" in required, strings.line)
    sources = [word for text in strings.texts for word in text.split()] if words else strings.texts
    return Texts(tuple([Text(text, variables) for text in sources]))


def _check_namespaces(text: str, has_global: bool, line: int) -> None:
    for found in _REFERENCE.finditer(text) if "${" in text else ():
        space, dot, _ = (found[2] or "").lower().rpartition(".")
        if dot and not (space == "global" and has_global):
            raise SieveProblem(line, f"{space[:100]!r} is no namespace of variables")


def _pieces(source: str) -> tuple[str | Maker, ...]:
    """Constant stretches and variables in turn; none at all where there is no variable."""
    pieces: list[str | Maker] = []
    position = 0
    for found in _REFERENCE.finditer(source):
        if found.start() > position:
            pieces.append(source[position : found.start()])
        pieces.append(_numbered(found[1]) if found[1] else named(found[2].lower()))
        position = found.end()
    if not pieces:
        return ()
    if position < len(source):
        pieces.append(source[position:])
    return tuple(pieces)


def _numbered(digits: str) -> Maker:
    number = int(digits) if len(digits) < 10 else 1 << 30

    def matched(run: Run) -> str:
        return run.matched[number] if number < len(run.matched) else ""

    return matched


def named(name: str) -> Maker:
    """The value of a variable whose name is in lower case, "" where it has none."""
    if name.startswith("global."):
        rest = name[7:]
        return lambda run: run.globals.get(rest, "")

    def value(run: Run) -> str:
        return (run.globals if name in run.global_names else run.variables).get(name, "")

    return value
