"""user takeout: all that is an account's in a zip file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import typer

from mailstack.cli.accounts import invocation
from mailstack.cli.invocation import Invocation, fail


def takeout(context: typer.Context, address: str, file: Path) -> None:
    """Write an account's mail, scripts, aliases and settings into a zip file, from which it can be taken in elsewhere.

    Example: mailstack user takeout alice@example.org alice.zip
    """
    one = invocation(context)
    try:
        stream = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except OSError as problem:
        fail(f"{file}: {problem.strerror}")
    try:
        with stream:
            summary = _write(one, address, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException as problem:
        with contextlib.suppress(OSError):
            os.unlink(file)
        if isinstance(problem, OSError):
            fail(f"{file}: {problem.strerror}; nothing was kept")
        raise
    print(f"{file}: {summary}")


def _write(one: Invocation, address: str, stream: IO[bytes]) -> str:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mailstack.store.takeout.pieces import Head, Piece
    from mailstack.store.takeout.writing import Writer

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("messages", total=None)

        def pieces() -> Iterator[Piece]:
            after: Any = None
            while True:
                page = one.run("user.takeout", address=address, after=after)
                for piece in msgspec.convert(page["pieces"], list[Piece]):
                    if isinstance(piece, Head):
                        progress.update(task, total=piece.about["expected"])
                    yield piece
                after = page["after"]
                if after is None:
                    return

        writer = Writer(stream, lambda: progress.advance(task))
        writer.write(pieces())
        progress.update(task, total=writer.messages)
    gone = f"; {writer.gone} were removed meanwhile" if writer.gone else ""
    return f"{writer.messages} messages, {writer.octets} octets{gone}"
