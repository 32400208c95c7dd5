"""What is wrong with a script."""


class SieveProblem(Exception):
    """A script that can't be compiled, or an error while it runs. `line` counts from 1; the reason is for its author."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason
