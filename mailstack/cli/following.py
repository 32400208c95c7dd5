"""A job from the command line: begun, followed with a progress bar, its answer taken."""

import asyncio
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mailstack.cli.invocation import Invocation, Refused, fail, opened
from mailstack.config import Config
from mailstack.control.client import ask

WAIT = 0.3  # seconds between two looks


def bars() -> Progress:
    """On standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class _Bar:
    """On standard error, where that is a terminal: standard output is for answers."""

    def __init__(self) -> None:
        self.rich = bars()
        self.task = self.rich.add_task("", total=None)

    def show(self, told: dict[str, Any]) -> None:
        self.rich.update(self.task, description=told["text"], completed=told["done"], total=told["total"])


def follow(invocation: Invocation, name: str, **arguments: Any) -> Any:
    """What the job came to. Ctrl-C stops it; a job that a running server does is stopped there."""
    config = invocation.config()
    bar = _Bar()
    with bar.rich:
        try:
            answer = _through_server(config, name, arguments, bar)
            if answer is None:
                answer = asyncio.run(_directly(config, name, arguments, bar))
        except KeyboardInterrupt:
            answer = {"error": "stopped; the same command goes on from here", "code": 1}
        except PermissionError:
            answer = {"error": f"{config.data}: not yours; run this as its owner or as root", "code": 1}
        except (OSError, ValueError) as problem:
            answer = {"error": f"{config.data}/control.sock: {problem}", "code": 1}
    if "error" in answer:
        fail(answer["error"], int(answer.get("code", 1)))
    return answer["ok"]


def _through_server(config: Config, name: str, arguments: dict[str, Any], bar: _Bar) -> dict[str, Any] | None:
    socket = config.data / "control.sock"
    begun = ask(socket, name, arguments)
    if begun is None or "error" in begun:
        return begun
    job = begun["ok"]["job"]
    try:
        while True:
            told = ask(socket, "job.status", {"job": job, "wait": WAIT})
            if told is None:
                return {"error": "the server stopped; the same command goes on from here", "code": 1}
            if "error" in told:
                return told
            bar.show(told["ok"])
            if told["ok"]["ended"]:
                return dict(told["ok"]["answer"])
    except KeyboardInterrupt:
        ask(socket, "job.stop", {"job": job})
        raise


async def _directly(config: Config, name: str, arguments: dict[str, Any], bar: _Bar) -> dict[str, Any]:
    from mailstack.control.operations import run

    async with opened(config) as table:
        if isinstance(table, Refused):
            return {"error": table.reason, "code": table.code}
        begun = await run(table, name, arguments)
        while "ok" in begun:
            told = (await run(table, "job.status", {"job": begun["ok"]["job"], "wait": WAIT}))["ok"]
            bar.show(told)
            if told["ended"]:
                return dict(told["answer"])
        return begun
