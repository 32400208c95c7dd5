"""Commands in this process: the same code as from a shell, without the second that an interpreter takes to start."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from typer.testing import CliRunner

from mailstack.cli.main import app
from tests.support.server import Server


class Console:
    """run() as Server.run()."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = server.data

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        with _logging_as_before():
            found = CliRunner().invoke(app, ["-c", str(self.server.configuration), *arguments], input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        ended = subprocess.CompletedProcess(arguments, found.exit_code, found.stdout, found.stderr)
        if check:
            assert found.exit_code == 0, found.output
        return ended


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """Commands set the log's form, with a standard error that is gone afterwards."""
    before = structlog.get_config() if structlog.is_configured() else None
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
