"""Every command explains itself, and says no with the right code."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from mailstack.cli.main import app
from tests.support.server import ROOT, Server

runner = CliRunner()


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path, group
        return
    for name, command in inner.items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_is_the_command(path: tuple[str, ...]) -> None:
    shown = runner.invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"Example: mailstack {' '.join(path)}" in " ".join(shown.output.split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_an_option_that_is_none_is_bad_usage(path: tuple[str, ...]) -> None:
    shown = runner.invoke(app, [*path, "--no-such-option"])
    assert shown.exit_code == 2
    assert "no-such-option" in shown.output


@pytest.mark.parametrize("path", [path for path in COMMANDS if path[-1] in ("list", "show", "check", "trace", "repair")])
def test_listings_take_json(path: tuple[str, ...]) -> None:
    assert "--json" in runner.invoke(app, [*path, "--help"]).output


def test_commands_that_ask_the_server_do_not_load_its_database() -> None:
    """`mailstack health` is asked every half minute by who watches a container."""
    code = "import sys, mailstack.cli.main; print(sorted({'sqlalchemy', 'segno', 'starlette', 'alembic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_no_command_shows_the_commands() -> None:
    shown = runner.invoke(app, [])
    for (name, *_), _ in COMMANDS.items():
        assert name in shown.output
    assert runner.invoke(app, ["fly"]).exit_code == 2


@pytest.mark.parametrize("command", [("user", "list"), ("serve",), ("health",), ("check",), ("selftest",), ("queue", "list")])
def test_a_missing_configuration_is_named(server: Server, command: tuple[str, ...]) -> None:
    shown = runner.invoke(app, ["-c", "/nowhere/mailstack.toml", *command])
    assert shown.exit_code == 2
    assert "/nowhere/mailstack.toml: there is no such file; make one: mailstack quickstart" in " ".join(shown.output.split())


def test_the_configuration_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSTACK_CONFIG", str(server.configuration))
    assert "a.test" in runner.invoke(app, ["domain", "list"]).output
    # An option comes first.
    assert runner.invoke(app, ["-c", "/nowhere", "domain", "list"]).exit_code == 2
