"""Messages copied from one account into another: read there, written here, so that each account stays whole by itself."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from mailstack.message.flag import Flags
from mailstack.store.content import Content
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import Copied, NewMessage, Prepared

IN_MEMORY = 512 * 1024  # octets of one message that are not put into a file
TOGETHER = 16  # messages that are written at once, and share their flushes


async def copy_across(
    source: Mailbox,
    uids: Sequence[int],
    target: Account,
    name: str,
    may: int,
    spool: Path,
    told: Callable[[int, int], None] = lambda done, goal: None,
) -> Copied:
    """All that are still there, or none: durable when it returns. Of their flags those whose bits are in `may` come along.
    `told` hears how many of how many are written.
    """
    sizes = {uid: source.sizes[place] for uid in uids if (place := source.position(uid)) is not None}
    (await target.room()).without(sum(sizes.values()), len(sizes))  # before anything is written
    target.look(name)
    prepared: list[Prepared] = []
    sources: list[int] = []
    wanted = list(sizes)
    try:
        for first in range(0, len(wanted), TOGETHER):
            told(first, len(wanted))
            some = wanted[first : first + TOGETHER]
            tasks = [asyncio.create_task(_prepare(source, uid, target, name, may, spool)) for uid in some]
            try:
                done = await asyncio.gather(*tasks)
            except BaseException:
                await _give_up(tasks, target)
                raise
            for uid, one in zip(some, done, strict=True):
                if one is not None:
                    prepared.append(one)
                    sources.append(uid)
    except BaseException:
        target.discard(prepared)
        raise
    if not prepared:
        return Copied(target.look(name).uid_validity, (), ())
    appended = await target.commit(prepared)
    target.came_across()
    return Copied(appended.uid_validity, tuple(sources), appended.uids)


async def _give_up(tasks: list[asyncio.Task[Prepared | None]], target: Account) -> None:
    """One failed: what the others wrote is forgotten."""
    for one in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(one, Prepared):
            target.discard([one])


async def _prepare(source: Mailbox, uid: int, target: Account, name: str, may: int, spool: Path) -> Prepared | None:
    """A message in the target's tmp/; None when it is gone."""
    place = source.position(uid)
    if place is None:
        return None
    flags, date = source.flags[place] & may, source.dates[place]
    keywords = frozenset(source.keyword_names(flags))
    with contextlib.closing(Content(spool, IN_MEMORY)) as content:
        try:
            async for block in source.blocks(uid):
                content.write(block)
        except MessageGone:
            return None
        return await target.prepare(name, NewMessage(content, flags=Flags(flags), keywords=keywords, internal_date=date))
