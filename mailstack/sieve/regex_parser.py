"""The grammar of POSIX extended regular expressions (XBD 9.4), and \\w, \\s, \\d with their negations."""

from collections.abc import Callable
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

NESTING = 50
MOST_REPEATS = 255  # RE_DUP_MAX
SPECIAL = frozenset("^$.[]|()*+?{}\\")

Test = Callable[[str], bool]
CLASSES: dict[str, Test] = {
    "alpha": str.isalpha,
    "digit": lambda one: "0" <= one <= "9",
    "alnum": str.isalnum,
    "upper": str.isupper,
    "lower": str.islower,
    "space": str.isspace,
    "blank": lambda one: one in " \t",
    "punct": lambda one: one.isascii() and one.isprintable() and not one.isalnum() and one != " ",
    "print": str.isprintable,
    "graph": lambda one: one.isprintable() and not one.isspace(),
    "cntrl": lambda one: one < " " or one == "\x7f",
    "xdigit": lambda one: one in "0123456789abcdefABCDEF",
}
_SHORT = {"w": "alnum", "s": "space", "d": "digit"}


@dataclass(frozen=True, slots=True)
class Characters:
    """A set of characters; without any ranges, tests or singles and negated it is all of them."""

    singles: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    tests: tuple[Test, ...] = ()
    negated: bool = False

    def hold(self, variants: tuple[str, ...]) -> bool:
        """Whether one of a character's variants of case is in it; of a negated set, whether none is."""
        return any(self._has(one) for one in variants) is not self.negated

    def _has(self, one: str) -> bool:
        if one in self.singles:
            return True
        for first, last in self.ranges:
            if first <= one <= last:
                return True
        return any(test(one) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of a pattern: characters, anchor, group, either, repeat, or row (one behind the other)."""

    kind: str
    inner: tuple["Node", ...] = ()
    characters: Characters | None = None
    anchor: str = ""
    number: int = 0  # of a group
    least: int = 0
    most: int | None = None  # None: any number
    size: int = 1  # states that it takes


def parse_regex(pattern: str, limit: int) -> tuple[Node, int]:
    """The tree of a pattern, and how many groups it has. Raises SyntaxProblem."""
    return _Parser(pattern, limit).whole()


class _Parser:
    def __init__(self, pattern: str, limit: int) -> None:
        self._text = pattern
        self._limit = limit
        self._place = 0
        self._groups = 0

    def whole(self) -> tuple[Node, int]:
        node = self._either(0)
        if self._place < len(self._text):
            raise SyntaxProblem("')' without '('")
        return node, self._groups

    def _peek(self) -> str:
        return self._text[self._place : self._place + 1]

    def _sized(self, node: Node) -> Node:
        if node.size > self._limit:
            raise SyntaxProblem("the regular expression is too large")
        return node

    def _either(self, depth: int) -> Node:
        if depth > NESTING:
            raise SyntaxProblem("groups are nested too deep")
        rows = [self._row(depth)]
        while self._peek() == "|":
            self._place += 1
            rows.append(self._row(depth))
        if len(rows) == 1:
            return rows[0]
        return self._sized(Node("either", tuple(rows), size=1 + sum(row.size for row in rows)))

    def _row(self, depth: int) -> Node:
        found: list[Node] = []
        size = 1
        while (sign := self._peek()) and sign not in "|)":
            found.append(self._repeated(self._atom(sign, depth)))
            size += found[-1].size
        return self._sized(Node("row", tuple(found), size=size))

    def _atom(self, sign: str, depth: int) -> Node:
        self._place += 1
        if sign == "(":
            self._groups += 1
            number = self._groups
            inner = self._either(depth + 1)
            if self._peek() != ")":
                raise SyntaxProblem("'(' without ')'")
            self._place += 1
            return Node("group", (inner,), number=number, size=inner.size + 2)
        if sign in "^$":
            return Node("anchor", anchor=sign)
        if sign in "*+?{":
            raise SyntaxProblem(f"'{sign}' has nothing to repeat")
        if sign == ".":
            return Node("characters", characters=Characters(negated=True))
        if sign == "[":
            return Node("characters", characters=self._bracket())
        if sign == "\\":
            if (following := self._peek()) and following in "bB<>":
                self._place += 1
                return Node("anchor", anchor=following)
            return Node("characters", characters=self._escaped())
        return Node("characters", characters=Characters(frozenset(sign)))

    def _escaped(self) -> Characters:
        sign = self._peek()
        if not sign:
            raise SyntaxProblem("a backslash at the end")
        self._place += 1
        if sign.lower() in _SHORT:
            singles = frozenset("_") if sign in "wW" else frozenset("")
            return Characters(singles, (), (CLASSES[_SHORT[sign.lower()]],), sign.isupper())
        return Characters(frozenset(sign))

    def _repeated(self, node: Node) -> Node:
        while (sign := self._peek()) and sign in "*+?{":
            self._place += 1
            if sign == "{":
                least, most = self._bounds()
            else:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            if node.kind == "anchor":
                raise SyntaxProblem(f"'{sign}' has nothing to repeat")
            times = least + 1 if most is None else most
            node = self._sized(Node("repeat", (node,), least=least, most=most, size=(node.size + 1) * max(times, 1)))
        return node

    def _bounds(self) -> tuple[int, int | None]:
        """The numbers of `{m,n}`, behind its first brace."""
        end = self._text.find("}", self._place, self._place + 10)
        first, comma, last = self._text[self._place : end].partition(",") if end >= 0 else ("", "", "")
        if not (first + last).isascii() or not (first + last).isdigit() or (not first and not comma):
            raise SyntaxProblem("'{' without numbers of repeats; a brace itself is written \\{")
        least = int(first or "0")
        most = (int(last) if last else None) if comma else least
        if least > MOST_REPEATS or (most is not None and (most > MOST_REPEATS or most < least)):
            raise SyntaxProblem("bad numbers of repeats")
        self._place = end + 1
        return least, most

    def _bracket(self) -> Characters:
        negated = self._peek() == "^"
        self._place += negated
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        tests: list[Test] = []
        first = True
        while True:
            sign = self._peek()
            if not sign:
                raise SyntaxProblem("'[' without ']'")
            if sign == "]" and not first:
                self._place += 1
                return Characters(frozenset(singles), tuple(ranges), tuple(tests), negated)
            first = False
            if self._text.startswith("[:", self._place):
                tests.append(self._class())
                continue
            one = self._element()
            if self._peek() == "-" and self._text[self._place + 1 : self._place + 2] not in ("]", ""):
                self._place += 1
                last = self._element()
                if last < one:
                    raise SyntaxProblem("a range that ends before it begins")
                ranges.append((one, last))
            else:
                singles.add(one)

    def _class(self) -> Test:
        end = self._text.find(":]", self._place, self._place + 12)
        name = self._text[self._place + 2 : end] if end >= 0 else ""
        if name not in CLASSES:
            raise SyntaxProblem("unknown class of characters")
        self._place = end + 2
        return CLASSES[name]

    def _element(self) -> str:
        """One character of a bracket expression; `[.x.]` and `[=x=]` are x."""
        text, place = self._text, self._place
        if text[place : place + 1] == "[" and text[place + 1 : place + 2] in (".", "="):
            if text[place + 3 : place + 5] != text[place + 1] + "]":
                raise SyntaxProblem("unknown collating element")
            self._place += 5
            return text[place + 2]
        self._place += 1
        return text[place]
