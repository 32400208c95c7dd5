"""A tree to functions: what each name means, and that its arguments are right (RFC 5228 2)."""

from collections.abc import Mapping, Sequence

from mailstack.sieve.binding import bind
from mailstack.sieve.commands.control import REQUIRE, chain
from mailstack.sieve.extension import Command, Extension, Test, Tests
from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.step import Check, Step, block
from mailstack.sieve.tree import Node, Strings
from mailstack.sieve.vocabulary import Vocabulary


class Compiler:
    """Of one script."""

    def __init__(self, extensions: Mapping[str, Extension], limits: Limits) -> None:
        self._extensions = extensions
        self._limits = limits
        self.vocabulary = Vocabulary(extensions)

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
        found = self.vocabulary.command(node)
        _shape(node, found)
        tests = [self._test(test) for test in node.tests]
        inner = self._block(node.block) if node.block is not None else None
        return found.build(bind(node, found, self.vocabulary, self._limits, tests, inner))

    def _test(self, node: Node) -> Check:
        found = self.vocabulary.test(node)
        _shape(node, found)
        tests = [self._test(test) for test in node.tests]
        return found.build(bind(node, found, self.vocabulary, self._limits, tests, None))


def _shape(node: Node, found: Command | Test) -> None:
    """That tests and a block stand where they belong, and nowhere else."""
    wanted = found.tests
    if wanted is Tests.LIST and not node.listed:
        raise SieveProblem(node.line, f"{node.name}: {wanted.value} must follow")
    if wanted is Tests.ONE and (node.listed or not node.tests):
        raise SieveProblem(node.line, f"{node.name}: {wanted.value} must follow")
    if wanted is Tests.NONE and node.tests:
        raise SieveProblem(node.line, f"{node.name}: no test can follow")
    if isinstance(found, Command) and found.block is not (node.block is not None):
        raise SieveProblem(node.line, f"{node.name}: " + ("a block must follow" if found.block else "no block can follow"))
