"""true, false, not, allof, anyof (RFC 5228 5)."""

from collections.abc import Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Test, Tests
from mailstack.sieve.questions import Asks
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking, Check, decide


def _constant(value: bool) -> Check:
    return lambda run: value


def _not(bound: Bound) -> Check:
    inner = bound.tests[0]
    if not isinstance(inner, Asking):
        return lambda run: not inner(run)

    def asking(run: Run) -> Asks[bool]:
        return not (yield from inner.go(run))

    return Asking(asking)


def _until(bound: Bound, decisive: bool) -> Check:
    """The tests in order, up to the first one that decides (RFC 5228 5.2, 5.3)."""
    checks, lines = bound.tests, bound.test_lines
    plain = [check for check in checks if not isinstance(check, Asking)]
    if len(plain) < len(checks):
        return _asking_until(checks, lines, decisive)

    def until(run: Run) -> bool:
        for place, check in enumerate(plain):
            if check(run) is decisive:
                if run.trace is not None and decisive:
                    run.tell(lines[place], "true")
                return decisive
        return not decisive

    return until


def _asking_until(checks: Sequence[Check], lines: Sequence[int], decisive: bool) -> Check:
    def until(run: Run) -> Asks[bool]:
        for check, line in zip(checks, lines, strict=True):
            if (yield from decide(check, run)) is decisive:
                if run.trace is not None and decisive:
                    run.tell(line, "true")
                return decisive
        return not decisive

    return Asking(until)


TESTS = {
    "true": Test(lambda bound: _constant(True)),
    "false": Test(lambda bound: _constant(False)),
    "not": Test(_not, tests=Tests.ONE),
    "allof": Test(lambda bound: _until(bound, False), tests=Tests.LIST),
    "anyof": Test(lambda bound: _until(bound, True), tests=Tests.LIST),
}
