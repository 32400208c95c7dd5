"""Tasks that run until they are ended."""

import asyncio

AGAIN_SECONDS = 1.0  # what a task does at its end may take as long


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, and wait until it is no more. None is one that never began.

    Once is not enough: before Python 3.12 wait_for() loses a cancellation that comes together with what it waits for.
    """
    if task is None:
        return
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.result()
