"""A disk that knows at each instant what a power cut would leave: a strict model of what a file system promises.

What counts as durable, and nothing else:
- a file's octets, as many as it had when it was last flushed (`sync`);
- a folder's entries, as they were when the folder was last flushed (`sync_folder`). A rename is one change: when the folder
  that it leads to is flushed, the old name is gone too;
- a database as it was when a commit with synchronous=FULL returned.

An `Image` is taken after each step, in one run. `materialise` makes it a folder again: with only what is durable, or with a
random choice of the rest, as a journal that was written half would have it.
"""

import os
import random
import sqlite3
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailstack.store.disk import Disk
from tests.support.faults import STEPS

Entries = dict[int, dict[str, int]]  # folder -> name -> what is there, all by inode
DATABASES = (".sqlite3", ".sqlite3-wal")
NOT_KEPT = (".sqlite3-shm",)


@dataclass(frozen=True, slots=True)
class Image:
    """What there is at one instant."""

    step: str
    root: int
    durable: Entries
    current: Entries
    flushed: dict[int, int]  # octets of a file that are durable
    databases: dict[str, bytes]  # path below the root -> octets, as they are durable
    databases_now: dict[str, bytes]
    note: Any

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for images that leave the same behind, whatever the choice."""
        frozen = [
            tuple(sorted((folder, tuple(sorted(names.items()))) for folder, names in entries.items()))
            for entries in (self.durable, self.current)
        ]
        databases = tuple(
            (name, hash(data)) for one in (self.databases, self.databases_now) for name, data in sorted(one.items())
        )
        return (*frozen, tuple(sorted(self.flushed.items())), databases, repr(self.note))


@dataclass(slots=True)
class _Inode:
    is_folder: bool
    descriptor: int | None = None  # of a folder: while it is open its number is not given again


@dataclass
class PowerDisk(Disk):
    """Watches the tree below `root`; `vault` (on the same file system) keeps the files that are gone from it."""

    root: Path
    vault: Path
    note: Callable[[], Any] = lambda: None  # kept with each image: what had been answered by then
    images: list[Image] = field(default_factory=list)
    recording: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._inodes: dict[int, _Inode] = {}
        self._durable: Entries = {}
        self._flushed: dict[int, int] = {}
        self._databases: dict[str, bytes] = {}
        self.vault.mkdir()

    def settle(self) -> None:
        """All that is there now is durable; images are taken from here on."""
        with self._lock:
            self._durable = self._walk()
            self._flushed = {number: self._size(number) for number, inode in self._inodes.items() if not inode.is_folder}
            self._databases = self._read_databases()
            self.recording = True
            self._take("settle")

    def forget(self) -> None:
        for inode in self._inodes.values():
            if inode.descriptor is not None:
                os.close(inode.descriptor)
                inode.descriptor = None

    # What there is --------------------------------------------------------------------------------------------------

    def _size(self, number: int) -> int:
        return (self.vault / str(number)).stat().st_size

    def _learn(self, path: Path, status: os.stat_result) -> int:
        number = status.st_ino
        if number not in self._inodes:
            if stat.S_ISDIR(status.st_mode):
                self._inodes[number] = _Inode(True, os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            else:
                os.link(path, self.vault / str(number))
                self._inodes[number] = _Inode(False)
        return number

    def _list(self, folder: Path) -> dict[str, int]:
        found = {}
        for entry in os.scandir(folder):
            if not entry.name.endswith(DATABASES + NOT_KEPT):
                try:
                    found[entry.name] = self._learn(Path(entry.path), entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # what no Disk does: the removal of a deleted mailbox
        return found

    def _walk(self) -> Entries:
        entries: Entries = {}
        waiting = [self.root]
        while waiting:
            folder = waiting.pop()
            try:
                number = self._learn(folder, folder.stat())
                names = self._list(folder)
            except FileNotFoundError:
                continue
            entries[number] = names
            waiting += [folder / name for name, child in names.items() if self._inodes[child].is_folder]
        return entries

    def _read_databases(self) -> dict[str, bytes]:
        found = {}
        for path in self.root.rglob("*"):
            if path.name.endswith(DATABASES):
                try:
                    found[str(path.relative_to(self.root))] = path.read_bytes()
                except FileNotFoundError:
                    continue
        return found

    def _take(self, step: str) -> None:
        current = self._walk()
        self.images.append(
            Image(
                step=step,
                root=self.root.stat().st_ino,
                durable={folder: dict(names) for folder, names in self._durable.items()},
                current=current,
                flushed=dict(self._flushed),
                databases=dict(self._databases),
                databases_now=self._read_databases(),
                note=self.note(),
            )
        )

    # Steps ----------------------------------------------------------------------------------------------------------

    def _flush_file(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._flushed[status.st_ino] = status.st_size

    def _flush_folder(self, path: Path) -> None:
        number = self._learn(path, path.stat())
        names = self._list(path)
        arrived = set(names.values()) - set(self._durable.get(number, {}).values())
        self._durable[number] = names
        if arrived:
            now = self._walk()
            for folder, others in self._durable.items():
                if folder != number:
                    for name, child in list(others.items()):
                        if child in arrived and now.get(folder, {}).get(name) != child:
                            del others[name]

    def _after(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self.recording:
            return
        if name == "sync":
            self._flush_file(arguments[0])
        elif name == "sync_folder":
            self._flush_folder(Path(os.fsdecode(arguments[0])))
        elif name == "commit":
            connection: sqlite3.Connection = arguments[0]
            if connection.execute("PRAGMA synchronous").fetchone()[0] >= 2:
                path = connection.execute("PRAGMA database_list").fetchone()[2]
                for end in ("", "-wal"):
                    name_below = os.path.relpath(path + end, self.root)
                    self._databases.pop(name_below, None)
                    if os.path.exists(path + end):
                        self._databases[name_below] = Path(path + end).read_bytes()
        self._take(f"{name} {os.fsdecode(arguments[-1]) if isinstance(arguments[-1], bytes) else arguments[-1]}")

    # Afterwards -----------------------------------------------------------------------------------------------------

    def materialise(self, image: Image, target: Path, chance: random.Random | None = None) -> None:
        """Make the folder that a power cut at that instant leaves. Without `chance`: only what is durable."""
        entries, databases, whole = image.durable, image.databases, set[int]()
        if chance is not None:
            entries, whole = _choose(image, chance)
            databases = chance.choice((image.databases, image.databases_now))
        self._make(image, entries, whole, image.root, target)
        for name, data in databases.items():
            path = target / name
            if path.parent.is_dir():
                path.write_bytes(data)

    def _make(self, image: Image, entries: Entries, whole: set[int], folder: int, target: Path) -> None:
        target.mkdir()
        for name, number in entries.get(folder, {}).items():
            if self._inodes[number].is_folder:
                self._make(image, entries, whole, number, target / name)
            else:
                data = (self.vault / str(number)).read_bytes()
                (target / name).write_bytes(data if number in whole else data[: image.flushed.get(number, 0)])
                status = (self.vault / str(number)).stat()
                os.utime(target / name, ns=(status.st_atime_ns, status.st_mtime_ns))


def _choose(image: Image, chance: random.Random) -> tuple[Entries, set[int]]:
    """For each file and folder: where it is durable, or where it is now. What takes another's name shares its fate."""
    places: dict[int, tuple[set[tuple[int, str]], set[tuple[int, str]]]] = {}
    for which, entries in enumerate((image.durable, image.current)):
        for folder, names in entries.items():
            for name, number in names.items():
                places.setdefault(number, (set(), set()))[which].add((folder, name))
    groups = {number: number for number in places}

    def root_of(number: int) -> int:
        while groups[number] != number:
            number = groups[number]
        return number

    owners: dict[tuple[int, str], int] = {}
    for number, both in places.items():
        for place in both[0] | both[1]:
            groups[root_of(number)] = root_of(owners.setdefault(place, number))
    coins: dict[int, bool] = {}
    chosen: Entries = {}
    whole = {number for number in places if chance.random() < 0.5}
    is_folder = image.durable.keys() | image.current.keys()

    def put(number: int, now: bool) -> None:
        for folder, name in places[number][now]:
            chosen.setdefault(folder, {})[name] = number

    for number in places:
        coins.setdefault(root_of(number), chance.random() < 0.5)
    for number in sorted(places.keys() & is_folder):
        put(number, coins[root_of(number)])
    reached, waiting = set[int](), [image.root]
    while waiting:
        folder = waiting.pop()
        reached.add(folder)
        waiting += chosen.get(folder, {}).values()
    for number in sorted(places.keys() - is_folder):
        now = coins[root_of(number)]
        # A journal keeps its order: nothing is in a folder that is not there yet.
        put(number, now and all(folder in reached for folder, _ in places[number][True]))
    return chosen, whole


def _wrap(name: str) -> object:
    def method(self: PowerDisk, *arguments: Any, **named: Any) -> object:
        with self._lock:
            try:
                return getattr(Disk, name)(self, *arguments, **named)
            finally:
                self._after(name, arguments)

    return method


for _name in STEPS:
    setattr(PowerDisk, _name, _wrap(_name))
