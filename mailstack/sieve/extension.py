"""What an extension adds to the language: its commands, tests, tags, match types, address parts, comparator.

The names that `require` takes, and that ManageSieve announces, are those of the extensions in `table.py`.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.sieve.step import Check, Step

if TYPE_CHECKING:
    from mailstack.sieve.bound import Bound
    from mailstack.sieve.comparator import Comparator
    from mailstack.sieve.matching import MatchType

Part = Callable[[str, str, str], str | None]  # of (local part, domain, separator): what is compared; None: nothing


class Kind(enum.Enum):
    """Of an argument."""

    STRING = "a string"
    STRINGS = "a string list"
    NUMBER = "a number"


class Tests(enum.Enum):
    """How many tests stand behind the arguments."""

    NONE = "no test"
    ONE = "one test"
    LIST = "a list of tests in parentheses"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument. Of tags with the same `choice` only one may stand."""

    name: str
    kind: Kind | None = None  # of the value behind it; None: it has none
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class Modifier:
    """What `set` does with a value on its way (RFC 5229 4.1); those of higher precedence come first."""

    precedence: int
    change: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the language, and how it is compiled."""

    build: Callable[["Bound"], Step]
    positional: tuple[Kind, ...] = ()
    tags: tuple[Tag, ...] = ()
    optional: int | None = None  # the place of the positional argument that may be missing
    tests: Tests = Tests.NONE
    block: bool = False
    modifiers: bool = False  # takes modifiers
    matches: bool = False  # takes a match type and a comparator
    parts: bool = False  # takes an address part


@dataclass(frozen=True, slots=True)
class Test:
    """A test of the language, and how it is compiled."""

    build: Callable[["Bound"], Check]
    positional: tuple[Kind, ...] = ()
    tags: tuple[Tag, ...] = ()
    optional: int | None = None
    tests: Tests = Tests.NONE
    matches: bool = False
    parts: bool = False
    words: bool = False  # :is takes each word of its keys alone
    remembers: bool = True  # a match sets the variables ${1} and so on


@dataclass(frozen=True, slots=True)
class Extension:
    """One capability; with `always` every script has it, without `require`."""

    name: str
    always: bool = False
    commands: Mapping[str, Command] = field(default_factory=dict)
    tests: Mapping[str, Test] = field(default_factory=dict)
    tags: Mapping[str, tuple[Tag, ...]] = field(default_factory=dict)  # added to commands and tests of others
    matches: Mapping[str, "MatchType"] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    modifiers: Mapping[str, Modifier] = field(default_factory=dict)
    comparator: "Comparator | None" = None
    includes: tuple[str, ...] = ()  # extensions that come with it
