"""selftest.*: what the last run of the self-test said, whoever started it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.operations import Operation

STEPS, WORDS = 50, 500  # how much of a report is kept


@dataclass(frozen=True, slots=True)
class Run:
    """`problem`: the step that failed and why; None where all went well. `steps`: name and milliseconds."""

    time: float
    problem: str | None
    steps: tuple[tuple[str, float], ...]


class Selftests:
    """The last run since the server started."""

    def __init__(self) -> None:
        self.last: Run | None = None
        self.on_run: list[Callable[[Run], None]] = []

    @property
    def well(self) -> bool:
        """No run failed, or a later one did not."""
        return self.last is None or self.last.problem is None

    def take(self, run: Run) -> None:
        self.last = run
        for told in self.on_run:
            told(run)


class SelftestOperations:
    def __init__(self, selftests: Selftests, clock: Callable[[], float]) -> None:
        self._selftests = selftests
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"selftest.record": self.record, "selftest.last": self.last}

    async def record(self, arguments: Arguments) -> Any:
        """A run is over: its `steps`, and its `problem` if it has one."""
        problem = arguments.get("problem")
        try:
            steps = tuple((str(name)[:100], float(took)) for name, took in arguments["steps"][:STEPS])
        except (TypeError, ValueError):
            raise OperationProblem("steps are pairs of a name and milliseconds") from None
        self._selftests.take(Run(self._clock(), str(problem)[:WORDS] if problem else None, steps))

    async def last(self, _: Arguments) -> Any:
        """None where none ran since the start."""
        run = self._selftests.last
        return asdict(run) if run is not None else None
