"""A tree to functions: what each name means, and that its arguments are right (RFC 5228 2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from mailstack.sieve.binding import bind
from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.control import REQUIRE, chain
from mailstack.sieve.extension import Command, Extension, Test, Tests
from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check, Step, block
from mailstack.sieve.tree import Node, Strings, Tag
from mailstack.sieve.vocabulary import Vocabulary


class Compiler:
    """Of one script."""

    def __init__(self, extensions: Mapping[str, Extension], limits: Limits) -> None:
        self._extensions = extensions
        self._limits = limits
        self.vocabulary = Vocabulary(extensions)
        self.count = 0  # of commands and tests
        self._loops: tuple[str, ...] = ()
        self._lenient = False  # behind an ihave that is false

    def script(self, nodes: Sequence[Node]) -> Step:
        """The whole script."""
        place = 0
        while place < len(nodes) and nodes[place].name == REQUIRE:
            self._require(nodes[place])
            place += 1
        return self._block(nodes[place:])

    def _require(self, node: Node) -> None:
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], Strings) or node.tests or node.block is not None:
            raise SieveProblem(node.line, "require: one string list is expected")
        for name in node.arguments[0].texts:
            if name not in self._extensions or not name:
                raise SieveProblem(node.line, f"require: {name!r} is not supported")
            self.vocabulary.require(name)

    def _block(self, nodes: Sequence[Node]) -> Step:
        steps: list[Step] = []
        place = 0
        while place < len(nodes):
            node = nodes[place]
            place += 1
            if node.name != "if":
                steps.append(self._command(node))
                continue
            branches = [node]
            while place < len(nodes) and nodes[place].name in ("elsif", "else"):
                branches.append(nodes[place])
                place += 1
                if branches[-1].name == "else":
                    break
            steps.append(chain([self._branch(one) for one in branches]))
        return block(steps)

    def _branch(self, node: Node) -> tuple[int, Check | None, Step]:
        if node.arguments or node.block is None or node.listed or len(node.tests) != (node.name != "else"):
            wanted = "a block" if node.name == "else" else "one test and a block"
            raise SieveProblem(node.line, f"{node.name}: {wanted} must follow")
        check = self._test(node.tests[0]) if node.tests else None
        return node.line, check, self._block(node.block)

    def _command(self, node: Node) -> Step:
        try:
            return self._known_command(node)
        except SieveProblem as problem:
            if not self._lenient:
                raise
            return _failing(problem)

    def _known_command(self, node: Node) -> Step:
        self.count += 1
        found = self.vocabulary.command(node)
        _shape(node, found)
        tests = [self._test(test) for test in node.tests]
        loops, before = self._loops, self.count
        if found.block:
            self._loops = (*loops, _name_of(node))
        inner = self._block(node.block) if node.block is not None else None
        bound = bind(node, found, self.vocabulary, self._limits, tests, inner)
        if self._loops:
            bound = replace(bound, loops=self._loops, weight=1 + self.count - before)
        self._loops = loops
        return found.build(bound)

    def _test(self, node: Node) -> Check:
        try:
            self.count += 1
            found = self.vocabulary.test(node)
            _shape(node, found)
            tests = [self._test(test) for test in node.tests]
            bound = bind(node, found, self.vocabulary, self._limits, tests, None)
            return found.build(self._ihave(bound) if node.name == "ihave" else bound)
        except SieveProblem as problem:
            if not self._lenient:
                raise
            return _failing(problem)

    def _ihave(self, bound: Bound) -> Bound:
        """RFC 5463 4: what is there may be used from here on; where something is not, mistakes count only when they
        are carried out.
        """
        names = bound.constants(0)
        available = all(name in self._extensions for name in names)
        if available:
            for name in names:
                self.vocabulary.require(name)
        self._lenient = self._lenient or not available
        return replace(bound, available=available)


def _name_of(node: Node) -> str:
    """What a loop is called, "" where it has no name."""
    for place, argument in enumerate(node.arguments[:-1]):
        name = node.arguments[place + 1]
        if isinstance(argument, Tag) and argument.name == "name" and isinstance(name, Strings):
            return name.texts[0]
    return ""


def _failing(problem: SieveProblem) -> Callable[[Run], NoReturn]:
    def fail(run: Run) -> NoReturn:
        raise problem

    return fail


def _shape(node: Node, found: Command | Test) -> None:
    """That tests and a block stand where they belong, and nowhere else."""
    wanted = found.tests
    if wanted is Tests.LIST and not node.listed:
        raise SieveProblem(node.line, f"{node.name}: {wanted.value} must follow")
    if wanted is Tests.ONE and (node.listed or not node.tests):
        raise SieveProblem(node.line, f"{node.name}: {wanted.value} must follow")
    if wanted is Tests.NONE and node.tests:
        raise SieveProblem(node.line, f"{node.name}: ';' is missing before '{node.tests[0].name}', or no test can be here")
    if isinstance(found, Command) and found.block is not (node.block is not None):
        raise SieveProblem(node.line, f"{node.name}: " + ("a block must follow" if found.block else "no block can follow"))
