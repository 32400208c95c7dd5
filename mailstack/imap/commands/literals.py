"""A literal that leaves piece by piece."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from mailstack.imap.session import Session
from mailstack.store.errors import StoreProblem


async def send_blocks(session: Session, blocks: AsyncGenerator[bytes, None], left: int) -> None:
    """All of it, `left` octets. Raises ConnectionResetError where it can't be completed: the client must not take what follows
    for it.
    """
    try:
        async with contextlib.aclosing(blocks):
            async for block in blocks:
                session.write(block)
                left -= len(block)
                session.connection.flush()
                await session.connection.drain()
    except StoreProblem:
        pass
    if left:
        session.connection.abort()
        raise ConnectionResetError
