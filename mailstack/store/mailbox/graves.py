"""Where deleted messages stay for a while: `<account>/deleted/<mailbox's folder>/<when>~<keywords>~<name>:2,<flags>`.

Outside of the Maildir, so that no other program sees them. A message goes there by one rename, with the intent that would
have removed it; where that can't be, it is removed, as it was asked for.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from mailstack.message.flag import KEYWORDS, SYSTEM, Flags, from_letters, keyword_numbers, to_letters
from mailstack.store.disk import Disk
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.facts import Operation, Rename, Unlink
from mailstack.store.mailbox.filename import parse, split
from mailstack.store.mailbox.foldername import INBOX, from_folder
from mailstack.store.mailbox.mailbox import Mailbox

FOLDER = "deleted"
ABOVE = b"../deleted/"  # below the Maildir
WORDS = "keywords.json"  # number -> keyword of names here; it only grows
REMOVED = ".mailstack-removed"  # in the folder of a mailbox that is removed: what it was, and when
MOST_WORDS = 200
_KEPT = SYSTEM & ~Flags.DELETED
_NAME = re.compile(rb"([0-9]{1,11})~([0-9.]*)~(.+)", re.DOTALL)


@dataclass(slots=True)
class KeepDeleted:
    """For how long, in seconds; None: not at all. `octets` of one account at most; 0: any number."""

    seconds: float | None = None
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Grave:
    """One deleted message."""

    path: Path
    id: str  # UIDVALIDITY and UID that it had
    mailbox: str
    deleted: int  # when, seconds since the epoch
    size: int
    date: int | None  # INTERNALDATE
    unique: str | None
    flags: Flags
    words: tuple[int, ...]


class Graves:
    """One account's."""

    def __init__(self, account: Path, disk: Disk, keep: KeepDeleted) -> None:
        self._account = account
        self._disk = disk
        self._keep = keep
        self._words: list[str] | None = None

    @property
    def on(self) -> bool:
        return self._keep.seconds is not None

    def unknown(self, names: frozenset[str]) -> bool:
        """Whether learn() must come first."""
        return bool(names) and (self._words is None or not names <= set(self._words))

    def learn(self, names: Iterable[str]) -> None:
        """Blocking: keywords get numbers, durably."""
        if self._words is None:
            self._words = read_words(self._account)
        more = sorted(set(names) - set(self._words))
        if more and len(self._words) + len(more) <= MOST_WORDS:
            self._make(self._account / FOLDER)
            self._disk.replace_file(self._account / FOLDER / WORDS, orjson.dumps([*self._words, *more]))
            self._words = [*self._words, *more]

    def _make(self, folder: Path) -> None:
        with contextlib.suppress(FileExistsError):
            self._disk.mkdir(folder)
            self._disk.sync_folder(folder.parent)

    def end(self, mailbox: Mailbox, places: Iterable[int], now: float, *, keep: bool) -> list[Operation]:
        """What becomes of messages. Drafts are not kept: programs make a new one of each every minute."""
        state = mailbox.loaded
        operations: list[Operation] = []
        above = ABOVE + os.fsencode(mailbox.folder or INBOX) + b"/"
        for place in places:
            path, flags = mailbox.path(place), state.flags[place]
            if not keep or not self.on or flags & Flags.DRAFT:
                operations.append(Unlink(path))
                continue
            words = mailbox.keyword_names(flags) if flags & KEYWORDS else ()
            operations.append(Rename(path, above + self._name(state.bases[place], flags, words, now)))
        return operations

    def _name(self, base: bytes, flags: int, words: Iterable[str], now: float) -> bytes:
        known = self._words or []
        numbers = ".".join(str(known.index(word)) for word in words if word in known)
        numbers = numbers if len(numbers) <= 25 else ""  # a file's name has its limit
        return f"{int(now)}~{numbers}~".encode() + base + b":2," + to_letters(flags & _KEPT).encode()

    # A mailbox that is removed --------------------------------------------------------------------------------------

    def mark(self, path: Path, folder: str, now: float) -> None:
        """Blocking, before the folder is put aside: whoever finds it there knows what it is."""
        if self.on:
            self._disk.replace_file(path / REMOVED, orjson.dumps({"folder": folder, "when": int(now)}))

    def take(self, aside: Path) -> None:
        """Blocking: the messages of a mailbox that was put aside; may be done again."""
        try:
            mark = orjson.loads((aside / REMOVED).read_bytes())
            folder, when = str(mark["folder"]), int(mark["when"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        names = keywords.read(aside)
        self.learn(name for name in names if name is not None)
        target = self._account / FOLDER / (folder or INBOX)
        self._make(target.parent)
        self._make(target)
        for part in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(os.fsencode(aside / part)):
                    self._take_one(os.fsencode(aside / part) + b"/" + name, name, os.fsencode(target), names, when)
        self._disk.sync_folder(target)

    def _take_one(self, path: bytes, name: bytes, target: bytes, names: list[str | None], when: int) -> None:
        base, letters = split(name)
        flags = int(from_letters(letters))
        if flags & Flags.DRAFT:
            return
        words = [word for number in keyword_numbers(flags) if (word := names[number]) is not None]
        with contextlib.suppress(OSError):
            self._disk.rename(path, target + b"/" + self._name(base, flags, words, when))


# What lies there: blocking code -------------------------------------------------------------------------------------


def read_words(account: Path) -> list[str]:
    try:
        return [str(word) for word in orjson.loads((account / FOLDER / WORDS).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def graves(account: Path) -> Iterator[Grave]:
    """All of an account's, in no order."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(account / FOLDER) as folders:
        for folder in folders:
            mailbox = from_folder("" if folder.name == INBOX else folder.name)
            if mailbox is None or not folder.is_dir(follow_symlinks=False):
                continue
            for name in os.listdir(os.fsencode(folder.path)):
                grave = _grave(Path(folder.path), name, mailbox)
                if grave is not None:
                    yield grave


def _grave(folder: Path, name: bytes, mailbox: str) -> Grave | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    file = parse(found[3])
    path = folder / os.fsdecode(name)
    size = file.size
    if size is None:
        try:
            size = path.stat().st_size
        except OSError:
            return None
    words = tuple(int(number) for number in found[2].split(b".") if number)
    flags = from_letters(file.letters) & _KEPT
    id = f"{file.uid_validity}.{file.uid}" if file.uid is not None else f"{int(found[1])}.{len(found[3])}"
    return Grave(path, id, mailbox, int(found[1]), size, file.time, file.unique, flags, words)


def purge(account: Path, disk: Disk, before: float, octets: int) -> int:
    """Remove what was deleted before a moment, and the oldest of what is more than `octets` (0: any number). How many went."""
    rows = sorted(graves(account), key=lambda grave: -grave.deleted)
    gone, kept = 0, 0
    for grave in rows:
        kept += grave.size
        if grave.deleted < before or (octets and kept > octets):
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(grave.path)
            gone += 1
    return gone
