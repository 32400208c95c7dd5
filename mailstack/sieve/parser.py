"""Tokens to a tree (RFC 5228 8.2): what follows the grammar, whatever it means."""

from mailstack.sieve.lexer import Kind, Token, tokens
from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.tree import Argument, Node, Number, Strings, Tag


def parse(source: bytes, limits: Limits) -> tuple[Node, ...]:
    """The commands of a script. Raises SieveProblem."""
    return _Parser(source, limits).script()


class _Parser:
    def __init__(self, source: bytes, limits: Limits) -> None:
        self._tokens = tokens(source, limits.script)
        self._nesting = limits.nesting
        self._token = next(self._tokens)

    def script(self) -> tuple[Node, ...]:
        nodes = []
        while self._token.kind is not Kind.END:
            nodes.append(self._command(0))
        return tuple(nodes)

    def _next(self) -> Token:
        token = self._token
        if token.kind is not Kind.END:
            self._token = next(self._tokens)
        return token

    def _at(self, sign: str) -> bool:
        return self._token.kind is Kind.SIGN and self._token.text == sign

    def _take(self, sign: str, place: str) -> None:
        if not self._at(sign):
            raise SieveProblem(self._token.line, f"'{sign}' is missing {place}, before {_said(self._token)}")
        self._next()

    def _command(self, depth: int) -> Node:
        if self._token.kind is not Kind.NAME:
            raise SieveProblem(self._token.line, f"a command is expected, not {_said(self._token)}")
        name = self._next()
        arguments = self._arguments()
        tests, listed = self._tests(depth)
        if self._at("{"):
            return Node(name.text, name.line, arguments, tests, listed, self._block(depth + 1))
        self._take(";", f"after {name.text!r} of line {name.line}")
        return Node(name.text, name.line, arguments, tests, listed)

    def _block(self, depth: int) -> tuple[Node, ...]:
        opened = self._next()
        if depth > self._nesting:
            raise SieveProblem(opened.line, f"blocks are nested deeper than {self._nesting}")
        nodes = []
        while not self._at("}"):
            if self._token.kind is Kind.END:
                raise SieveProblem(opened.line, "the block that begins here has no end: '}' is missing")
            nodes.append(self._command(depth))
        self._next()
        return tuple(nodes)

    def _arguments(self) -> tuple[Argument, ...]:
        found: list[Argument] = []
        while True:
            token = self._token
            if token.kind is Kind.TAG:
                found.append(Tag(self._next().text, token.line))
            elif token.kind is Kind.NUMBER:
                found.append(Number(self._next().number, token.line))
            elif token.kind is Kind.STRING:
                found.append(Strings((self._next().text,), False, token.line))
            elif self._at("["):
                found.append(self._list())
            else:
                return tuple(found)

    def _list(self) -> Strings:
        line = self._next().line
        texts: list[str] = []
        while True:
            if self._token.kind is not Kind.STRING:
                raise SieveProblem(self._token.line, f"a string is expected in the list, not {_said(self._token)}")
            texts.append(self._next().text)
            if not self._at(","):
                break
            self._next()
        self._take("]", f"at the end of the list of line {line}")
        return Strings(tuple(texts), True, line)

    def _tests(self, depth: int) -> tuple[tuple[Node, ...], bool]:
        if self._token.kind is Kind.NAME:
            return (self._test(depth + 1),), False
        if not self._at("("):
            return (), False
        line = self._next().line
        tests = [self._test(depth + 1)]
        while self._at(","):
            self._next()
            tests.append(self._test(depth + 1))
        self._take(")", f"at the end of the tests of line {line}")
        return tuple(tests), True

    def _test(self, depth: int) -> Node:
        if self._token.kind is not Kind.NAME:
            raise SieveProblem(self._token.line, f"a test is expected, not {_said(self._token)}")
        name = self._next()
        if depth > self._nesting:
            raise SieveProblem(name.line, f"tests are nested deeper than {self._nesting}")
        arguments = self._arguments()
        tests, listed = self._tests(depth)
        return Node(name.text, name.line, arguments, tests, listed)


def _said(token: Token) -> str:
    if token.kind in (Kind.NAME, Kind.SIGN):
        return f"'{token.text}'"
    if token.kind is Kind.TAG:
        return f"':{token.text}'"
    kind: str = token.kind.value
    return kind
