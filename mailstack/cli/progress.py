"""Progress bars, on a terminal only."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

LOOK_SECONDS = 0.3


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, transient=True, disable=not sys.stderr.isatty())


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be told of what is done, and of how much there is."""
    with _progress() as progress:
        task = progress.add_task(what)
        yield lambda done, of: progress.update(task, completed=done, total=of)


@contextlib.contextmanager
def following(folder: Path) -> Iterator[None]:
    """What a backup that is made there says of itself (store/backup/helper.py)."""
    ended = threading.Event()

    def follow(progress: Progress) -> None:
        task = progress.add_task("backup", total=1.0)
        while not ended.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError, ValueError, KeyError):
                found = orjson.loads((folder / ".progress").read_bytes())
                progress.update(task, description=f"{found['step']} {found['what']}", completed=found["share"])

    with _progress() as progress:
        thread = threading.Thread(target=follow, args=(progress,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
