"""Looking at the Maildir of another server, Dovecot's or Courier's: folders, and messages with their UIDs. Changes nothing.

Folders are found in both layouts: Maildir++ (`.Archive.2026`) and Dovecot's LAYOUT=fs (`Archive/2026`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.message.flag import KEYWORD_COUNT, from_letters
from mailstack.store.errors import NameRefused
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.filename import FileName, parse
from mailstack.store.mailbox.foldername import INBOX, normalise, to_folder
from mailstack.store.moving import courier, modseq, names, subscribed, uidlist
from mailstack.store.moving.uidlist import UidList

DEEPEST = 20  # folders below each other, in LAYOUT=fs
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
ENCRYPTED = b"CRYPTED\x03\x07"  # Dovecot's mail_crypt

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """A file that is a message. `path` is below the Maildir."""

    path: bytes
    uid: int
    flags: int  # with the letters of keywords as they are here
    fresh: bool
    date: int  # INTERNALDATE is the file's time of change, as Dovecot and Courier have it
    size: int
    wire_size: int | None  # None: not known yet
    guid: str | None
    inode: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class ForeignFolder:
    """A mailbox, as it will be here. `place` is its folder below the Maildir."""

    name: str
    place: Path
    uid_validity: int | None
    uid_next: int
    highest_modseq: int
    keywords: list[str | None]
    guid: str | None = None
    messages: list[ForeignMessage] = field(default_factory=list)
    unlisted: int = 0  # messages to which the other server had given no UID yet


@dataclass(slots=True)
class Survey:
    """All of it. `problems` are lines for the admin: what is not taken over, and why."""

    root: Path
    kind: str
    folders: list[ForeignFolder]
    subscribed: frozenset[str] | None
    problems: list[str]

    @property
    def messages(self) -> int:
        return sum(len(folder.messages) for folder in self.folders)

    @property
    def octets(self) -> int:
        return sum(message.size for folder in self.folders for message in folder.messages)


def look(root: Path, indexes: Path | None = None, told: Told = lambda _: None) -> Survey:
    """`indexes`: where Dovecot's indexes are, when they are not in the folders. Raises OSError, NotADirectoryError."""
    if not (root / "cur").is_dir() and (root / "Maildir" / "cur").is_dir():
        root = root / "Maildir"  # what was named is the home it is in
    problems: list[str] = []
    folders: list[ForeignFolder] = []
    taken: set[str] = set()
    places = list(_places(root))
    for parts, place in places:
        name = _free(normalise(names.of_folder(parts)) if parts else INBOX, taken, place, problems)
        if name is None:
            continue
        taken.add(name)
        folder = _folder(root, name, place, _index_of(root, place, indexes), problems)
        folders.append(folder)
        told(len(folder.messages))
    if not folders:
        raise NotADirectoryError(f"{root}: no cur/ in it or in a folder of it: this is no Maildir")
    spaced = any(not str(place.relative_to(root)).startswith(".") for _, place in places)
    separator = b"/" if spaced else b"."
    if (root / "dovecot-acl").exists() or any((place / "dovecot-acl").exists() for _, place in places):
        problems.append("dovecot-acl: who else may see folders is not taken over; mailstack acl sets it")
    kind = "Courier" if any((place / uidlist.COURIER).exists() for _, place in places[:1]) else "Dovecot"
    return Survey(root, kind, folders, _subscribed(root, separator, problems), problems)


def _subscribed(root: Path, separator: bytes, problems: list[str]) -> frozenset[str] | None:
    try:
        return subscribed.read(root, separator=separator)
    except OSError as problem:
        problems.append(f"{problem.filename}: {problem.strerror}: subscriptions are not taken over")
        return None


def _places(root: Path) -> Iterator[tuple[list[bytes], Path]]:
    """Parts of the name and the folder of each mailbox; INBOX, which has no parts, first."""
    if (root / "cur").is_dir():
        yield [], root
    for entry in sorted(os.scandir(os.fsencode(root)), key=lambda entry: entry.name):
        if not entry.name.startswith(b".") or not entry.is_dir():
            continue
        path = Path(os.fsdecode(entry.path))
        if (path / "cur").is_dir():
            parts = entry.name[1:].split(b".")
            yield ([] if parts == [b"INBOX"] and not (root / "cur").is_dir() else parts), path
    yield from _nested(root, [])


def _nested(folder: Path, above: list[bytes]) -> Iterator[tuple[list[bytes], Path]]:
    if len(above) == DEEPEST:
        return
    for entry in sorted(os.scandir(os.fsencode(folder)), key=lambda entry: entry.name):
        # What begins with a dot is Maildir++ or hidden; no folder of a mailbox is a link.
        if entry.name.startswith(b".") or entry.name in (b"cur", b"new", b"tmp") or not entry.is_dir(follow_symlinks=False):
            continue
        path = Path(os.fsdecode(entry.path))
        parts = [*above, entry.name]
        if (path / "cur").is_dir():
            yield ([] if parts == [b"INBOX"] and not (folder / "cur").is_dir() else parts), path
        yield from _nested(path, parts)


def _free(name: str, taken: set[str], place: Path, problems: list[str]) -> str | None:
    """A name that no folder has yet; None when it can't be one here."""
    try:
        to_folder(name)
    except NameRefused as problem:
        problems.append(f"{place}: not taken over: {problem}")
        return None
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    if free != name:
        problems.append(f"{place}: becomes {free}: {name} is there already")
    return free


def _index_of(root: Path, place: Path, indexes: Path | None) -> Path:
    if indexes is None:
        return place
    # INDEX=dir has Maildir++'s names there, and .INBOX for INBOX.
    return indexes / (".INBOX" if place == root else str(place.relative_to(root)))


def _folder(root: Path, name: str, place: Path, index: Path, problems: list[str]) -> ForeignFolder:
    listed = uidlist.read(place)
    words, of_courier = keywords.read(place), courier.read(place)
    highest = modseq.bound(index)
    folder = ForeignFolder(
        name,
        place,
        listed.uid_validity if listed else None,
        listed.uid_next if listed else 1,
        highest if highest is not None else (modseq.UNKNOWN if listed else 1),
        words,
        listed.guid if listed else None,
    )
    if listed is None:
        problems.append(f"{name}: no list of UIDs; its messages get new ones, and clients fetch them anew")
    _read_messages(root, folder, listed or UidList(1, 1), problems)
    if of_courier:
        _take_courier(folder, of_courier, problems)
    return folder


def _read_messages(root: Path, folder: ForeignFolder, listed: UidList, problems: list[str]) -> None:
    known: dict[bytes, ForeignMessage] = {}
    unlisted: list[ForeignMessage] = []
    prefix = b"" if folder.place == root else os.fsencode(folder.place.relative_to(root)) + b"/"
    for part in (b"cur", b"new"):
        try:
            entries = os.scandir(os.fsencode(folder.place) + b"/" + part)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith(b"."):
                    continue
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    problems.append(f"{os.fsdecode(entry.path)}: no regular file; not taken over")
                    continue
                name = parse(entry.name)
                base = entry.name.partition(b":")[0]
                if base in known:
                    problems.append(f"{os.fsdecode(entry.path)}: is in cur/ too; not taken over")
                    continue
                found = listed.messages.get(base)
                message = _message(prefix + part + b"/" + entry.name, part == b"new", name, status)
                if found is None:
                    unlisted.append(message)
                else:
                    known[base] = _with(message, found.uid, found.guid)
    folder.messages = sorted(known.values(), key=lambda message: message.uid)
    folder.unlisted = len(unlisted)
    unlisted.sort(key=lambda message: (message.date, message.path.rpartition(b"/")[2]))
    for message in unlisted:
        folder.messages.append(_with(message, folder.uid_next, None))
        folder.uid_next += 1


def _message(path: bytes, in_new: bool, name: FileName, status: os.stat_result) -> ForeignMessage:
    flags = int(from_letters(name.letters)) & ~_CAPITALS
    sized = name.size == status.st_size
    return ForeignMessage(
        path=path,
        uid=0,
        flags=flags,
        fresh=in_new and not flags,
        date=int(status.st_mtime),
        size=status.st_size,
        wire_size=name.wire_size if sized else None,
        guid=None,
        inode=(status.st_dev, status.st_ino),
    )


_CAPITALS = int(from_letters("Z"))  # Dovecot's mark of a compressed file


def _with(message: ForeignMessage, uid: int, guid: str | None, flags: int | None = None) -> ForeignMessage:
    return ForeignMessage(
        message.path,
        uid,
        message.flags if flags is None else flags,
        message.fresh,
        message.date,
        message.size,
        message.wire_size,
        guid,
        message.inode,
    )


def _take_courier(folder: ForeignFolder, found: dict[bytes, frozenset[str]], problems: list[str]) -> None:
    """Courier's keywords, which are not in names, get letters, the most used ones first."""
    counts: dict[str, int] = {}
    for one in found.values():
        for word in one:
            counts[word] = counts.get(word, 0) + 1
    chosen = [word for word in sorted(counts, key=lambda word: (-counts[word], word)) if keywords.possible(word)]
    for word in chosen[KEYWORD_COUNT:]:
        problems.append(f"{folder.name}: keyword {word} is not taken over: a mailbox has {KEYWORD_COUNT}")
    chosen = chosen[:KEYWORD_COUNT]
    folder.keywords = [*chosen, *[None] * (KEYWORD_COUNT - len(chosen))]
    bits = {word: int(from_letters(LETTERS[number])) for number, word in enumerate(chosen)}
    for place, message in enumerate(folder.messages):
        words = found.get(message.path.rpartition(b"/")[2].partition(b":")[0], frozenset())
        more = sum(bits.get(word, 0) for word in words)
        if more:
            folder.messages[place] = _with(message, message.uid, message.guid, message.flags | more)


def sniff(path: bytes) -> str | None:
    """How a file is packed: "gzip", "encrypted" and so on; None when it is a plain message. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        start = os.read(descriptor, 16)
    finally:
        os.close(descriptor)
    if start.startswith(ENCRYPTED):
        return "encrypted"
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
