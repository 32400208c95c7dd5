"""Where deleted messages stay for a while: `<account>/deleted/<mailbox's folder>/<when>~<keywords>~<name>:2,<flags>`.

Outside of the Maildir, so that no other program sees them. A message goes there by one rename, with the intent that would
have removed it; where that can't be, it is removed, as it was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from mailstack.message.flag import SYSTEM, Flags, from_letters, keyword_numbers, to_letters
from mailstack.store.disk import Disk
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.filename import parse, split
from mailstack.store.mailbox.foldername import INBOX, from_folder

FOLDER = "deleted"
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
    """One account's. Blocking code, of one thread at a time: what a commit promised is done in order."""

    def __init__(self, account: Path, disk: Disk, keep: KeepDeleted, clock: Callable[[], float]) -> None:
        self._account = account
        self._disk = disk
        self._keep = keep
        self._clock = clock
        self._words: list[str] | None = None
        # By a mailbox's folder, while something is carried out: where its messages go, and what its letters mean.
        self._places: dict[bytes, tuple[bytes, list[str | None]]] = {}
        self._touched: set[Path] = set()

    @property
    def on(self) -> bool:
        return self._keep.seconds is not None

    def begin(self) -> None:
        """Before something is carried out."""
        self._places.clear()

    def bury(self, file: bytes, path: bytes) -> bool:
        """A message's file, `path` below the Maildir, by one rename. False where it is gone, or the disk is full."""
        part, _, name = path.rpartition(b"/")
        folder = part.rpartition(b"/")[0]
        try:
            if folder not in self._places:
                below = os.fsdecode(folder)
                self._places[folder] = self._place(below), keywords.read(self._account / "Maildir" / below)
            target, names = self._places[folder]
            self._take_one(file, name, target, names, int(self._clock()))
        except OSError as problem:
            if problem.errno == errno.EIO:
                raise
            return False
        return True

    def flush(self) -> None:
        """What was buried is durable, before the folders that it left are."""
        touched, self._touched = self._touched, set()
        for folder in touched:
            self._disk.sync_folder(folder)

    def _place(self, folder: str) -> bytes:
        place = self._account / FOLDER / (folder or INBOX)
        self._make(place.parent)
        self._make(place)
        self._touched.add(place)
        return os.fsencode(place)

    def _take_one(self, file: bytes, name: bytes, place: bytes, names: list[str | None], when: int) -> None:
        base, letters = split(name)
        flags = int(from_letters(letters))
        words = [word for number in keyword_numbers(flags) if (word := names[number]) is not None]
        if words:
            self._learn(words)
        known = self._words or []
        numbers = ".".join(str(known.index(word)) for word in words if word in known)
        numbers = numbers if len(numbers) <= 25 else ""  # a file's name has its limit
        grave = f"{when}~{numbers}~".encode() + base + b":2," + to_letters(flags & _KEPT).encode()
        self._disk.rename(file, place + b"/" + grave)

    def _learn(self, names: Iterable[str]) -> None:
        """Keywords get numbers, durably."""
        if self._words is None:
            self._words = read_words(self._account)
        more = sorted(set(names) - set(self._words))
        if more and len(self._words) + len(more) <= MOST_WORDS:
            self._disk.replace_file(self._account / FOLDER / WORDS, orjson.dumps([*self._words, *more]))
            self._words = [*self._words, *more]

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._disk.mkdir(folder)
            self._disk.sync_folder(folder.parent)

    # A mailbox that is removed --------------------------------------------------------------------------------------

    def mark(self, path: Path, folder: str) -> None:
        """Before the folder is put aside: whoever finds it there knows what it is."""
        if self.on:
            self._disk.replace_file(path / REMOVED, orjson.dumps({"folder": folder, "when": int(self._clock())}))

    def take(self, aside: Path) -> None:
        """The messages of a mailbox that was put aside; may be done again. Raises OSError."""
        try:
            mark = orjson.loads((aside / REMOVED).read_bytes())
            folder, when = str(mark["folder"]), int(mark["when"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        names, place = keywords.read(aside), self._place(folder)
        for part in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(os.fsencode(aside / part)):
                    if not from_letters(split(name)[1]) & Flags.DRAFT:
                        self._take_one(os.fsencode(aside / part) + b"/" + name, name, place, names, when)
        self.flush()


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
