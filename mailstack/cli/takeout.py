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
from mailstack.cli.progress import bar

ALONE = 10_000  # messages of a page where no server runs: each opens the data


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
    from mailstack.store.takeout.pieces import Head, Piece
    from mailstack.store.takeout.writing import Writer

    expected = 0
    with bar("takeout") as told:

        def pieces() -> Iterator[Piece]:
            nonlocal expected
            after: Any = None
            most = None if one.running() else ALONE
            while True:
                page = one.run("user.takeout", address=address, after=after, most=most)
                for piece in msgspec.convert(page["pieces"], list[Piece]):
                    if isinstance(piece, Head):
                        expected = piece.about["expected"]
                    yield piece
                after = page["after"]
                if after is None:
                    return

        writer = Writer(stream, lambda: told(writer.messages, expected))
        writer.write(pieces())
    gone = f"; {writer.gone} were removed meanwhile" if writer.gone else ""
    return f"{writer.messages} messages, {writer.octets} octets{gone}"
