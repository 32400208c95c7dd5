"""if, elsif, else, require, stop (RFC 5228 3)."""

from collections.abc import Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command
from mailstack.sieve.questions import Asks
from mailstack.sieve.state import Run, Stop
from mailstack.sieve.step import Asking, Check, Plain, Step, decide, do

REQUIRE = "require"
Branch = tuple[int, Check | None, Step]  # line, test (None: else), block


def chain(branches: Sequence[Branch]) -> Step:
    """The first branch whose test is true (RFC 5228 3.1)."""
    if any(isinstance(check, Asking) or isinstance(step, Asking) for _, check, step in branches):
        return _asking_chain(branches)
    plain: list[tuple[int, Plain[bool], Plain[None]]] = []
    last: Plain[None] | None = None
    for line, check, step in branches:
        assert not isinstance(check, Asking)
        assert not isinstance(step, Asking)
        if check is None:
            last = step
        else:
            plain.append((line, check, step))

    def choose(run: Run) -> None:
        for line, check, step in plain:
            run.line = line
            true = check(run)
            if run.trace is not None:
                run.tell(line, "true" if true else "false")
            if true:
                step(run)
                return
        if last is not None:
            last(run)

    return choose


def _asking_chain(branches: Sequence[Branch]) -> Step:
    def choose(run: Run) -> Asks[None]:
        for line, check, step in branches:
            run.line = line
            true = check is None or (yield from decide(check, run))
            if check is not None and run.trace is not None:
                run.tell(line, "true" if true else "false")
            if true:
                yield from do(step, run)
                return

    return Asking(choose)


def _stop(bound: Bound) -> Step:
    line = bound.line

    def stop(run: Run) -> None:
        run.tell(line, "stop")
        raise Stop

    return stop


COMMANDS = {"stop": Command(_stop)}
