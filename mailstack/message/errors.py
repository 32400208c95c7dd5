"""The one cause that the parsers of this floor raise."""


class SyntaxProblem(ValueError):
    """The input does not follow its grammar. The text says why, in words meant for a log, without the input itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
