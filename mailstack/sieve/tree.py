"""A script as its grammar has it, before anything has a meaning (RFC 5228 8.2)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strings:
    """A string, or with `is_list` a list of them in brackets."""

    texts: tuple[str, ...]
    is_list: bool
    line: int


@dataclass(frozen=True, slots=True)
class Number:
    value: int
    line: int


@dataclass(frozen=True, slots=True)
class Tag:
    name: str  # in lower case, without its colon
    line: int


Argument = Strings | Number | Tag


@dataclass(frozen=True, slots=True)
class Node:
    """A command with its arguments, or a test."""

    name: str  # in lower case
    line: int
    arguments: tuple[Argument, ...] = ()
    tests: tuple["Node", ...] = ()
    listed: bool = False  # the tests stand in parentheses
    block: tuple["Node", ...] | None = None  # None: it ends with a semicolon
