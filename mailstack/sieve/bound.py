"""A command or test with its arguments checked and in their places: what its builder compiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailstack.sieve.extension import Modifier, Part
from mailstack.sieve.limits import Limits
from mailstack.sieve.matching import Matching
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.step import Check, Step
from mailstack.sieve.strings import Text, Texts, texts_of
from mailstack.sieve.tree import Number, Strings

Value = Strings | Number | None


@dataclass(frozen=True, slots=True)
class Bound:
    """`tags` by name, with their values; `positional` in order, None for one that is left out."""

    name: str
    line: int
    limits: Limits
    required: frozenset[str]  # the extensions in force
    tags: Mapping[str, Value]
    positional: Sequence[Value]
    tests: Sequence[Check] = ()
    test_lines: Sequence[int] = ()
    block: Step | None = None
    matching: Matching | None = None
    part: Part | None = None
    counts: bool = False  # the match type is :count
    modifiers: Sequence[Modifier] = ()
    loops: tuple[str, ...] = ()  # the names of the loops around it, "" for one without; its own is the last one
    weight: int = 1  # commands and tests inside it, and itself
    available: bool = False  # ihave: all its extensions are

    def problem(self, reason: str) -> SieveProblem:
        return SieveProblem(self.line, f"{self.name}: {reason}")

    def has(self, tag: str) -> bool:
        return tag in self.tags

    def given(self, place: int) -> bool:
        """Whether an optional argument is there."""
        return self.positional[place] is not None

    def _value(self, at: int | str) -> Value:
        return self.positional[at] if isinstance(at, int) else self.tags[at]

    def texts(self, at: int | str) -> Texts:
        """The strings of an argument, by its place or its tag."""
        value = self._value(at)
        assert isinstance(value, Strings)
        return texts_of(value, self.required)

    def text(self, at: int | str) -> Text:
        return self.texts(at).texts[0]

    def text_or(self, tag: str, default: str) -> Text:
        return self.text(tag) if tag in self.tags else Text(default, False)

    def number(self, at: int | str) -> int:
        value = self._value(at)
        assert isinstance(value, Number)
        return value.value

    def constant(self, at: int | str) -> str:
        """A string that may hold no variables."""
        found = self.text(at).constant
        if found is None:
            raise self.problem("this string must be the same in each run: no variables here")
        return found

    def constants(self, at: int | str) -> tuple[str, ...]:
        found = self.texts(at).constant
        if found is None:
            raise self.problem("these strings must be the same in each run: no variables here")
        return found

    def match(self) -> Matching:
        assert self.matching is not None
        return self.matching

    def address_part(self) -> Part:
        assert self.part is not None
        return self.part
