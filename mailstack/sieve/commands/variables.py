"""set, and the test string (RFC 5229)."""

import re
from collections.abc import Callable, Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command, Extension, Kind, Modifier, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check, Step

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WILD = re.compile(r"([*?\\])")
Store = Callable[[Run, str], None]


def store_into(bound: Bound, name: str) -> Store:
    """What gives a variable of this name its value. Raises SieveProblem for a name that is none."""
    name = name.lower()
    space, dot, rest = name.rpartition(".")
    if dot and not (space == "global" and "include" in bound.required):
        raise bound.problem(f"{space!r} is no namespace of variables that can be set")
    if NAME.fullmatch(rest) is None:
        raise bound.problem(f"{name[:100]!r} is no name of a variable")

    key, line = rest if dot else name, bound.line
    everywhere = bool(dot)

    def store(run: Run, value: str) -> None:
        variables = run.globals if everywhere or name in run.global_names else run.variables
        variables[key] = value[: run.limits.variable]
        if len(variables) > run.limits.variables:
            raise SieveProblem(line, f"more than {run.limits.variables} variables")

    return store


def _set(bound: Bound) -> Step:
    store = store_into(bound, bound.constant(0))
    value, change = bound.text(1), modified(bound)

    def assign(run: Run) -> None:
        store(run, change(value(run)))

    return assign


def modified(bound: Bound) -> Callable[[str], str]:
    """What the modifiers do with a value, those of higher precedence first (RFC 5229 4.1)."""
    modifiers = sorted(bound.modifiers, key=lambda one: -one.precedence)
    if len({one.precedence for one in modifiers}) < len(modifiers):
        raise bound.problem("these modifiers exclude each other")

    def change(text: str) -> str:
        for modifier in modifiers:
            text = modifier.change(text)
        return text

    return change


def _string(bound: Bound) -> Check:
    sources = bound.texts(0)
    if not bound.counts:
        return checked(sources, bound.match())

    def full(run: Run) -> Sequence[str]:
        return [text for text in sources(run) if text]  # RFC 5229 5: :count counts those that are not empty

    return checked(full, bound.match())


EXTENSION = Extension(
    "variables",
    commands={"set": Command(_set, (Kind.STRING, Kind.STRING), modifiers=True)},
    tests={"string": Test(_string, (Kind.STRINGS, Kind.STRINGS), matches=True)},
    modifiers={
        "lower": Modifier(40, str.lower),
        "upper": Modifier(40, str.upper),
        "lowerfirst": Modifier(30, lambda text: text[:1].lower() + text[1:]),
        "upperfirst": Modifier(30, lambda text: text[:1].upper() + text[1:]),
        "quotewildcard": Modifier(20, lambda text: _WILD.sub(r"\\\1", text)),
        "length": Modifier(10, lambda text: str(len(text))),
    },
)
