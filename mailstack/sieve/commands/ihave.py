"""ihave and error (RFC 5463)."""

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command, Extension, Kind, Test
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check, Step


def _error(bound: Bound) -> Step:
    reason = bound.text(0)

    def error(run: Run) -> None:
        raise SieveProblem(bound.line, f"error: {reason(run)}")

    return error


def _ihave(bound: Bound) -> Check:
    known = bound.available
    return lambda run: known


EXTENSION = Extension(
    "ihave",
    commands={"error": Command(_error, (Kind.STRING,))},
    tests={"ihave": Test(_ihave, (Kind.STRINGS,))},
)
