"""Looking whether files have changed, also behind symbolic links (certbot puts new files there and turns the links)."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.tasks import ended

log = get_logger()
LOOK_SECONDS = 3.0
Signature = tuple[tuple[int, ...] | None, ...]


class Watch:
    """start(), then stop(). `changed` is called when one of the files is another one, or has another content."""

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        self._paths: tuple[Path, ...] = ()
        self._seen: Signature = ()
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def use(self, paths: Sequence[Path], seen: Signature) -> None:
        """Look at these from now on. `seen`: their signature() of before they were read."""
        self._paths, self._seen = tuple(paths), seen

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await ended(self._task)

    async def look(self) -> None:
        paths = self._paths
        if not paths:
            return
        found = await asyncio.to_thread(signature, paths)
        if paths == self._paths and found != self._seen:
            self._seen = found
            await self._changed()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("tls.watch_failed")
            await asyncio.sleep(LOOK_SECONDS)


def signature(paths: Sequence[Path]) -> Signature:
    """What changes when a file is written or put in another's place; None for one that is not there. It blocks."""
    return tuple(_of(path) for path in paths)


def _of(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
