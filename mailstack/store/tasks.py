"""Tasks that run until they are ended."""

import asyncio
import contextlib


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, and wait until it is no more. None is one that never began."""
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
