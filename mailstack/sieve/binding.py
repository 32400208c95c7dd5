"""Arguments to their places (RFC 5228 2.6): tags in any order, then the positional ones."""

from collections.abc import Sequence

from mailstack.sieve.bound import Bound, Value
from mailstack.sieve.comparator import CASEMAP, Comparator
from mailstack.sieve.encoded import decoded
from mailstack.sieve.extension import Command, Kind, Modifier, Part, Tag, Test
from mailstack.sieve.limits import Limits
from mailstack.sieve.matching import IS, Matching, MatchType, Request
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.step import Check, Step
from mailstack.sieve.strings import texts_of
from mailstack.sieve.tree import Argument, Node, Number, Strings
from mailstack.sieve.tree import Tag as TagNode
from mailstack.sieve.vocabulary import Vocabulary

RELATIONS = ("gt", "ge", "lt", "le", "eq", "ne")


def bind(
    node: Node, found: Command | Test, words: Vocabulary, limits: Limits, tests: Sequence[Check], block: Step | None
) -> Bound:
    """The arguments of a node, checked. Raises SieveProblem."""
    return _Binder(node, found, words, limits).bound(tests, block)


class _Binder:
    def __init__(self, node: Node, found: Command | Test, words: Vocabulary, limits: Limits) -> None:
        self._node = node
        self._found = found
        self._words = words
        self._limits = limits
        self._rest = list(node.arguments)
        if "encoded-character" in words.required:
            self._rest = [decoded(one) if isinstance(one, Strings) else one for one in self._rest]
        self._tags: dict[str, Value] = {}
        self._choices: dict[str, str] = {}
        self._match: MatchType = IS
        self._match_name = "is"
        self._relation = ""
        self._comparator: Comparator = CASEMAP
        self._modifiers: list[Modifier] = []
        self._part: Part | None = words.parts["all"] if found.parts else None

    def _problem(self, reason: str) -> SieveProblem:
        return SieveProblem(self._node.line, f"{self._node.name}: {reason}")

    def bound(self, tests: Sequence[Check], block: Step | None) -> Bound:
        known = self._words.tags(self._node.name, self._found)
        positional: list[Argument] = []
        while self._rest:
            argument = self._rest.pop(0)
            if not isinstance(argument, TagNode):
                positional.append(argument)
            elif positional:
                raise SieveProblem(
                    argument.line, f"{self._node.name}: ':{argument.name}' must stand before the other arguments"
                )
            else:
                self._tag(argument, known)
        places = self._places(positional)
        return Bound(
            self._node.name,
            self._node.line,
            self._limits,
            self._words.required,
            self._tags,
            places,
            tests,
            [test.line for test in self._node.tests],
            block,
            self._matching(places) if self._found.matches else None,
            self._part,
            self._match_name == "count",
            self._modifiers,
        )

    def _tag(self, tag: TagNode, known: dict[str, Tag]) -> None:
        name = tag.name
        if name in known:
            self._choose(known[name].choice or f":{name}", name)
            kind = known[name].kind
            self._tags[name] = self._value(tag, kind) if kind is not None else None
        elif self._found.matches and name in self._words.matches:
            self._choose("match type", name)
            self._match, self._match_name = self._words.matches[name], name
            if self._match.relation:
                self._relation = self._string(tag).lower()
                if self._relation not in RELATIONS:
                    raise self._problem(f"':{name}' is followed by one of " + ", ".join(RELATIONS))
        elif self._found.matches and name == "comparator":
            self._choose("comparator", name)
            wanted = self._string(tag)
            comparator = self._words.comparator(wanted)
            if comparator is None:
                raise self._problem(f"the comparator {wanted!r} is not known, or its require is missing")
            self._comparator = comparator
        elif isinstance(self._found, Command) and self._found.modifiers and name in self._words.modifiers:
            self._choose(f":{name}", name)
            self._modifiers.append(self._words.modifiers[name])
        elif self._found.parts and name in self._words.parts:
            self._choose("address part", name)
            self._part = self._words.parts[name]
        else:
            raise self._problem(f"':{name}' is not known here, or its require is missing")

    def _choose(self, choice: str, name: str) -> None:
        if choice in self._choices:
            earlier = self._choices[choice]
            what = f"':{name}' stands twice" if earlier == name else f"':{earlier}' and ':{name}' exclude each other"
            raise self._problem(what)
        self._choices[choice] = name

    def _value(self, tag: TagNode, kind: Kind) -> Value:
        if not self._rest or not _fits(self._rest[0], kind):
            raise self._problem(f"':{tag.name}' is followed by {kind.value}")
        value = self._rest.pop(0)
        assert not isinstance(value, TagNode)
        return value

    def _string(self, tag: TagNode) -> str:
        value = self._value(tag, Kind.STRING)
        assert isinstance(value, Strings)
        return value.texts[0]

    def _places(self, positional: list[Argument]) -> list[Value]:
        kinds = self._found.positional
        found: list[Value] = []
        left_out = self._found.optional if len(positional) == len(kinds) - 1 else None
        if left_out is not None:
            kinds = (*kinds[:left_out], *kinds[left_out + 1 :])
        if len(positional) != len(kinds):
            wanted = ", ".join([kind.value for kind in kinds]) or "no arguments"
            raise self._problem(f"takes {wanted}; {len(positional)} are there" if kinds else f"takes {wanted}")
        for argument, kind in zip(positional, kinds, strict=True):
            if not _fits(argument, kind) or isinstance(argument, TagNode):
                raise SieveProblem(argument.line, f"{self._node.name}: {kind.value} is expected here")
            found.append(argument)
        if left_out is not None:
            found.insert(left_out, None)
        return found

    def _matching(self, places: Sequence[Value]) -> Matching | None:
        keys = places[-1]
        if keys is None:
            return None
        assert isinstance(keys, Strings)
        if self._match.parts and not self._comparator.parts:
            raise self._problem(f"':{self._match_name}' can't be used with {self._comparator.name}")
        variables = "variables" in self._words.required
        texts = texts_of(keys, self._words.required, self._splits())
        return self._match.build(
            Request(
                self._comparator, texts, variables and self._remembers(), self._relation, self._limits, self._node.line,
                self._count,
            )
        )  # fmt: skip

    def _count(self, states: int) -> None:
        self._words.states += states
        if self._words.states > self._limits.patterns:
            raise self._problem("the script's regular expressions are too large together")

    def _remembers(self) -> bool:
        return isinstance(self._found, Command) or self._found.remembers

    def _splits(self) -> bool:
        return isinstance(self._found, Test) and self._found.words and self._match_name == "is"


def _fits(argument: Argument, kind: Kind) -> bool:
    if isinstance(argument, Strings):
        return kind is Kind.STRINGS or (kind is Kind.STRING and not argument.is_list)
    return isinstance(argument, Number) and kind is Kind.NUMBER
