"""One account out of a backup, through the doors of the store: while the server runs, and beside the mail that is there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.flag import SYSTEM, Flags, from_letters, keyword_numbers
from mailstack.store.backup import layout, listing, manifest
from mailstack.store.backup.copying import BLOCK
from mailstack.store.backup.manifest import File
from mailstack.store.content import Content
from mailstack.store.errors import MailboxExists, StoreFailed
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import email_id, parse, safe_unique
from mailstack.store.mailbox.foldername import from_folder
from mailstack.store.mailbox.values import NewMessage

TOGETHER = 16
ABOVE = "Restored"


@dataclass(frozen=True, slots=True)
class Brought:
    """What came back: messages by mailbox, and what was there already, from a run that was cut short."""

    mailboxes: dict[str, int]
    there: int

    @property
    def messages(self) -> int:
        return sum(self.mailboxes.values())


async def bring_back(
    account: Account,
    backup: Path,
    address: str,
    spool: Path,
    begins: Callable[[int], None] = lambda goal: None,
    told: Callable[[int], None] = lambda count: None,
) -> Brought:
    """In place where the account is empty, else into mailboxes below `Restored/<date>/`. Messages get new UIDs.

    May be called again after it was cut short. Raises StoreFailed for what is damaged, OverQuota and other StoreProblems.
    `begins` hears how many there are, `told` of those that are here.
    """
    made = await asyncio.to_thread(manifest.read, backup)
    unit = next((one for one in made.units if one.address == address), None)
    if unit is None:
        raise StoreFailed(f"{backup} holds no account {address}")
    _, files = await asyncio.to_thread(manifest.read_unit, backup, unit.name, unit.sha256)
    in_place = (await account.usage()).messages == 0
    above = "" if in_place else f"{ABOVE}/{made.name}/"
    counts: dict[str, int] = {}
    there = 0
    folders = _by_folder(files, f"{unit.name}/Maildir")
    begins(sum(len(mine) for mine in folders.values()))
    for folder, mine in folders.items():
        name = from_folder(folder)
        if name is None:
            continue
        name = above + name
        await _make(account, name)
        known = await _known(account, name)
        fresh = [file for file in mine if email_id(os.fsencode(_name(file))) not in known]
        there += len(mine) - len(fresh)
        told(len(mine) - len(fresh))
        place = backup / layout.DATA / unit.name / "Maildir" / folder
        async for messages in _batches(backup, place, fresh, spool):
            try:
                await account.append_all(name, messages)
            finally:
                for message in messages:
                    message.content.close()
            counts[name] = counts.get(name, 0) + len(messages)
            told(len(messages))
    return Brought(counts, there)


def _by_folder(files: list[File], maildir: str) -> dict[str, list[File]]:
    """The messages of each mailbox's folder, in the order of their UIDs."""
    found: dict[str, list[File]] = {}
    for file in files:
        if file.path.startswith(f"{maildir}/") and listing.is_message(file.path):
            folder = file.path[len(maildir) + 1 :].rpartition("/")[0].rpartition("/")[0]
            found.setdefault(folder, []).append(file)
    for mine in found.values():
        mine.sort(key=lambda file: parse(os.fsencode(_name(file))).uid or 0)
    return dict(sorted(found.items()))


def _name(file: File) -> str:
    return file.path.rpartition("/")[2]


async def _make(account: Account, name: str) -> None:
    if name not in account.names():
        try:
            await account.create(name)
        except MailboxExists:
            return
        await account.subscribe(name)


async def _known(account: Account, name: str) -> set[bytes]:
    """EMAILIDs of what is there."""
    mailbox = await account.open(name)
    try:
        return {email_id(base) for base in mailbox.loaded.bases}
    finally:
        mailbox.release()


async def _batches(backup: Path, place: Path, files: list[File], spool: Path) -> AsyncIterator[list[NewMessage]]:
    words = await asyncio.to_thread(keywords.read, place)
    for first in range(0, len(files), TOGETHER):
        some = files[first : first + TOGETHER]
        yield await asyncio.to_thread(_messages, backup, some, words, spool)


def _messages(backup: Path, files: list[File], words: list[str | None], spool: Path) -> list[NewMessage]:
    made: list[NewMessage] = []
    try:
        for file in files:
            made.append(_message(backup, file, words, spool))
    except BaseException:
        for message in made:
            message.content.close()
        raise
    return made


def _message(backup: Path, file: File, words: list[str | None], spool: Path) -> NewMessage:
    name = parse(os.fsencode(_name(file)))
    flags = from_letters(name.letters)
    content, digest = Content(spool), hashlib.sha256()
    try:
        with open(backup / layout.DATA / file.path, "rb", buffering=0) as source:
            while block := source.read(BLOCK):
                digest.update(block)
                content.write(block)
    except OSError as problem:
        content.close()
        raise StoreFailed(f"{file.path}: {problem.strerror}") from problem
    if digest.hexdigest() != file.sha256:
        content.close()
        raise StoreFailed(f"{file.path} is damaged")
    found = frozenset(word for number in keyword_numbers(int(flags)) if (word := words[number]) is not None)
    unique = name.unique if name.unique is not None and safe_unique(name.unique) else None
    date = float(name.time) if name.time is not None else file.mtime / 1e9
    return NewMessage(content, flags=Flags(flags & SYSTEM), keywords=found, internal_date=date, unique=unique)
