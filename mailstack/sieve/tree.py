"""A script as its grammar has it, before anything has a meaning (RFC 5228 8.2)."""

import msgspec


class Strings(msgspec.Struct, frozen=True):
    """A string, or with `is_list` a list of them in brackets."""

    texts: tuple[str, ...]
    is_list: bool
    line: int


class Number(msgspec.Struct, frozen=True):
    value: int
    line: int


class Tag(msgspec.Struct, frozen=True):
    name: str  # in lower case, without its colon
    line: int


Argument = Strings | Number | Tag


class Node(msgspec.Struct, frozen=True):
    """A command with its arguments, or a test."""

    name: str  # in lower case
    line: int
    arguments: tuple[Argument, ...] = ()
    tests: tuple["Node", ...] = ()
    listed: bool = False  # the tests stand in parentheses
    block: tuple["Node", ...] | None = None  # None: it ends with a semicolon
