"""What every command shares: which configuration, and asking the server or working on the data."""

import asyncio
import datetime
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import typer

from mailstack.config import DEFAULT_PATH, Config, ConfigProblem, load
from mailstack.control.client import ask
from mailstack.control.story import clean
from mailstack.store.lock import become_owner

if TYPE_CHECKING:
    from mailstack.control.operations import Operation


def fail(text: str, code: int = 1) -> NoReturn:
    """Say why, and end with an exit code."""
    print(f"mailstack: {text}", file=sys.stderr)
    raise typer.Exit(code)


@dataclass(slots=True)
class Invocation:
    """The options before the command."""

    path: str | None
    patience: float = 600.0  # seconds that an operation may take

    def config_path(self) -> str | None:
        if self.path:
            return self.path
        if os.environ.get("MAILSTACK_CONFIG"):
            return os.environ["MAILSTACK_CONFIG"]
        return DEFAULT_PATH

    def config(self) -> Config:
        try:
            return load(self.config_path())
        except ConfigProblem as problem:
            fail(str(problem), 2)

    def running(self) -> bool:
        """Whether a server runs on the data."""
        try:
            return "ok" in (ask(self.config().data / "control.sock", "domain.list", {}, 10) or {})
        except OSError:
            return False

    def run(self, name: str, **arguments: Any) -> Any:
        """An operation through the running server, or on the data when no server runs."""
        config = self.config()
        try:
            orjson.dumps(arguments)
        except TypeError:
            fail("what was typed is not UTF-8", 2)
        try:
            answer = ask(config.data / "control.sock", name, arguments, self.patience)
        except PermissionError:
            fail(f"{config.data}: not yours; run this as its owner or as root")
        except (OSError, ValueError) as problem:
            fail(f"{config.data}/control.sock: {problem}")
        if answer is None:
            answer = asyncio.run(_directly(config, name, arguments))
        if "error" in answer:
            code = int(answer.get("code", 1))
            fail(f"{self.config_path()}: {answer['error']}" if code == 2 else answer["error"], code)
        return answer["ok"]


async def _directly(config: Config, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from mailstack.control.operations import run

    async with opened(config) as table:
        if isinstance(table, Refused):
            return {"error": table.reason, "code": table.code}
        return await run(table, name, arguments)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the data can't be worked on."""

    reason: str
    code: int


@asynccontextmanager
async def opened(config: Config) -> "AsyncIterator[dict[str, Operation] | Refused]":
    """The operations on the data, while no server runs."""
    from mailstack.app import Data, StartProblem
    from mailstack.log import configure
    from mailstack.store.errors import DataLocked, StoreProblem

    configure("auto", "error")
    try:
        become_owner(config.data)
    except OSError as problem:
        yield Refused(f"data_dir: {config.data}: {problem.strerror}", 2)
        return
    data = Data(config)
    try:
        try:
            await data.open()
        except DataLocked:
            yield Refused(f"{config.data}: a server that is starting or stopping holds the data; try again", 1)
        except StartProblem as problem:
            yield Refused(str(problem), 2)
        except StoreProblem as problem:
            yield Refused(f"data_dir: {problem}", 2)
        else:
            yield data.operations()
    finally:
        await data.close()


def show(rows: list[dict[str, Any]], as_json: bool, columns: list[str]) -> None:
    """A listing, for people or for programs."""
    if as_json:
        print(orjson.dumps(rows, default=str, option=orjson.OPT_INDENT_2).decode())
        return
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(row[place]) for row in texts)]) for place, column in enumerate(columns)]
    print("  ".join(column.upper().ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())
    for row in texts:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(value)


def octets(number: int) -> str:
    """A size as the settings write it: 5GiB."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number and number % (1 << power) == 0:
            return f"{number >> power}{unit}"
    return str(number)


def amount(number: int) -> str:
    """A size for people: 1.2 GiB."""
    size, units = float(number), ["octets", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "octets" or size >= 100 else f"{size:.1f} {units[0]}"


def when(moment: float) -> str:
    """A time for people; the server's time zone."""
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else "now"


def read_text(file: Path) -> str:
    """What a file that was named holds."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}", 2)
    except UnicodeDecodeError:
        fail(f"{file}: not UTF-8", 2)


def read_password(from_stdin: bool, prompt: str = "") -> str | None:
    """From standard input, from the terminal, or None: one is made. `prompt`: none is made, it is another's password."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            fail("standard input holds no password", 2)
        return password
    if prompt and not sys.stdin.isatty():
        fail("a password is needed: --password-stdin, or type it", 2)
    if prompt:
        return str(typer.prompt(prompt, hide_input=True, err=True))
    if sys.stdin.isatty():
        password = typer.prompt("Password (empty: make one)", default="", hide_input=True, show_default=False)
        if password and typer.prompt("Once more", hide_input=True) != password:
            fail("the two differ", 2)
        return str(password) or None
    return None
