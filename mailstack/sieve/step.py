"""Compiled commands and tests: plain functions where they can be, generators where something is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailstack.sieve.questions import Asks
from mailstack.sieve.state import Run

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asking(Generic[T]):
    """What asks questions on its way."""

    go: Callable[[Run], Asks[T]]


Check = Callable[[Run], bool] | Asking[bool]
Step = Callable[[Run], None] | Asking[None]
Plain = Callable[[Run], T]


def decide(check: Check, run: Run) -> Asks[bool]:
    """Carry out a test of either kind."""
    if isinstance(check, Asking):
        return (yield from check.go(run))
    return check(run)


def do(step: Step, run: Run) -> Asks[None]:
    """Carry out a command of either kind."""
    if isinstance(step, Asking):
        yield from step.go(run)
    else:
        step(run)


def block(steps: Sequence[Step]) -> Step:
    """Commands one after the other."""
    if len(steps) == 1:
        return steps[0]
    plain = [step for step in steps if not isinstance(step, Asking)]
    if len(plain) == len(steps):

        def each(run: Run) -> None:
            for step in plain:
                step(run)

        return each

    def asking(run: Run) -> Asks[None]:
        for step in steps:
            if isinstance(step, Asking):
                yield from step.go(run)
            else:
                step(run)

    return Asking(asking)
