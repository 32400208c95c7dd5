"""Deleted messages come back, or go for good: through the doors of an account."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from mailstack.store.content import BLOCK, Content
from mailstack.store.disk import Disk
from mailstack.store.errors import MailboxExists
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import email_id, safe_unique
from mailstack.store.mailbox.graves import Grave, read_words
from mailstack.store.mailbox.values import NewMessage

TOGETHER = 16


async def bring_back(account: Account, found: Sequence[Grave], spool: Path, disk: Disk) -> dict[str, int]:
    """Into the mailboxes that they were in, with their flags and dates; the number by mailbox. A mailbox that is gone is made.

    Cut short between a message's return and the end of its copy here, it returns once: it is known by its EMAILID.
    Raises OverQuota and other StoreProblems.
    """
    words = await asyncio.to_thread(read_words, account.folder.path)
    counts: dict[str, int] = {}
    by_mailbox: dict[str, list[Grave]] = {}
    for grave in sorted(found, key=lambda grave: (grave.date or 0, grave.id)):
        by_mailbox.setdefault(grave.mailbox, []).append(grave)
    for name, mine in sorted(by_mailbox.items()):
        await _make(account, name)
        known = await _known(account, name)
        for first in range(0, len(mine), TOGETHER):
            some = mine[first : first + TOGETHER]
            fresh = [grave for grave in some if grave.unique is None or grave.unique.replace(".", "_").encode() not in known]
            messages = await asyncio.to_thread(_read, fresh, words, spool)
            try:
                if messages:
                    await account.append_all(name, messages)
            finally:
                for message in messages:
                    message.content.close()
            await asyncio.to_thread(forget, some, disk)
            counts[name] = counts.get(name, 0) + len(messages)
    return counts


def forget(found: Sequence[Grave], disk: Disk) -> int:
    """Blocking: they are gone for good. How many there were."""
    gone = 0
    for grave in found:
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(grave.path)
            gone += 1
    return gone


async def _make(account: Account, name: str) -> None:
    if name not in account.names():
        with contextlib.suppress(MailboxExists):
            await account.create(name)
            await account.subscribe(name)


async def _known(account: Account, name: str) -> set[bytes]:
    mailbox = await account.open(name)
    try:
        return {email_id(base) for base in mailbox.loaded.bases}
    finally:
        mailbox.release()


def _read(found: Sequence[Grave], words: list[str], spool: Path) -> list[NewMessage]:
    made: list[NewMessage] = []
    try:
        for grave in found:
            with contextlib.suppress(FileNotFoundError):
                made.append(_message(grave, words, spool))
    except BaseException:
        for message in made:
            message.content.close()
        raise
    return made


def _message(grave: Grave, words: list[str], spool: Path) -> NewMessage:
    content = Content(spool)
    descriptor = os.open(grave.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while block := os.read(descriptor, BLOCK):
            content.write(block)
    except BaseException:
        content.close()
        raise
    finally:
        os.close(descriptor)
    names = frozenset(words[number] for number in grave.words if number < len(words))
    unique = grave.unique if grave.unique is not None and safe_unique(grave.unique) else None
    return NewMessage(content, flags=grave.flags, keywords=names, internal_date=grave.date, unique=unique)
