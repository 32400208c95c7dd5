"""The words that a script may use: those of the language itself and of the extensions that it requires."""

from collections.abc import Mapping

from mailstack.sieve.comparator import Comparator
from mailstack.sieve.extension import Command, Extension, Modifier, Part, Tag, Test
from mailstack.sieve.matching import MatchType
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.tree import Node


class Vocabulary:
    """Grows as extensions are required."""

    def __init__(self, extensions: Mapping[str, Extension]) -> None:
        self._extensions = extensions
        self.required: frozenset[str] = frozenset()
        self.states = 0  # of all regular expressions of the script
        self._commands: dict[str, Command] = {}
        self._tests: dict[str, Test] = {}
        self._tags: dict[str, dict[str, Tag]] = {}
        self._comparators: dict[str, Comparator] = {}
        self.matches: dict[str, MatchType] = {}
        self.parts: dict[str, Part] = {}
        self.modifiers: dict[str, Modifier] = {}
        for extension in extensions.values():
            if extension.always:
                self.require(extension.name)

    def require(self, name: str) -> None:
        """Take an extension in, with those that come with it."""
        if name in self.required:
            return
        extension = self._extensions[name]
        self.required |= {name}
        self._commands.update(extension.commands)
        self._tests.update(extension.tests)
        self.matches.update(extension.matches)
        self.parts.update(extension.parts)
        self.modifiers.update(extension.modifiers)
        if extension.comparator is not None:
            self._comparators[extension.comparator.name] = extension.comparator
        for word, tags in extension.tags.items():
            self._tags.setdefault(word, {}).update({tag.name: tag for tag in tags})
        for other in extension.includes:
            self.require(other)

    def command(self, node: Node) -> Command:
        found = self._commands.get(node.name)
        if found is None:
            raise self._unknown(node, "command")
        return found

    def test(self, node: Node) -> Test:
        found = self._tests.get(node.name)
        if found is None:
            raise self._unknown(node, "test")
        return found

    def tags(self, name: str, found: Command | Test) -> dict[str, Tag]:
        """All tags that a command or test may have, but those of match types, parts and comparators."""
        return {tag.name: tag for tag in found.tags} | self._tags.get(name, {})

    def comparator(self, name: str) -> Comparator | None:
        return self._comparators.get(name)

    def _unknown(self, node: Node, kind: str) -> SieveProblem:
        for extension in self._extensions.values():
            if node.name in (extension.commands if kind == "command" else extension.tests):
                return SieveProblem(node.line, f'{node.name}: require "{extension.name}" is missing')
        if node.name in ("elsif", "else"):
            return SieveProblem(node.line, f"{node.name}: no if stands before it")
        if node.name == "require":
            return SieveProblem(node.line, "require: it must stand before all other commands")
        return SieveProblem(node.line, f"unknown {kind} '{node.name}'")
