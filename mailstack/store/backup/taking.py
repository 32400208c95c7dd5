"""A backup in the making. Blocking code, in the helper process.

Order: users and queue rows, then the queue's files, then accounts, then the rest. So a message that leaves the queue meanwhile
is among the queue's files, or in the mailbox that it came to; and a row without a file says nothing (the file is the truth).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from mailstack import __version__
from mailstack.log import get_logger
from mailstack.store.backup import layout, listing, manifest
from mailstack.store.backup.copying import Changed, Copier, Key, Known, digest_of, is_whole, key_of, open_regular
from mailstack.store.backup.databases import copy_database
from mailstack.store.backup.listing import Found
from mailstack.store.backup.manifest import File, Manifest, Summary, Unit
from mailstack.store.backup.writing import UnitWriter
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.filename import parse
from mailstack.store.mailbox.freezing import Frozen

log = get_logger()
DATABASE = "mailstack.sqlite3"
TRIES = 3


class Taking:
    """begin(), users(), queue(), then list_account() and copy_account() for each, rest(), and finish()."""

    def __init__(self, folder: Path, data: Path, disk: Disk, told: Callable[[int, int], None] = lambda done, of: None) -> None:
        """`told` hears of files done, and how many there are, of a unit."""
        self._folder = folder
        self._data = data
        self._disk = disk
        self._told = told
        self._copier = Copier(disk)
        self._partial = folder / layout.PARTIAL
        self._root = str(self._partial / layout.DATA)
        self._summaries: dict[str, Summary] = {}
        self._earlier: list[
            tuple[Path, frozenset[str]]
        ] = []  # backups to take unchanged files from, with what is damaged there
        self._listed: tuple[Unit, list[Found], dict[Key, Known], list[File]] | None = None
        self._lock: int | None = None

    def begin(self, now: float) -> None:
        """Raises StoreFailed where another is being made there."""
        self._now = now
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise StoreFailed(f"{self._folder}: another backup is being made there") from problem
        for leftover in (*self._folder.glob(f"{layout.REMOVING}*"), self._folder / layout.SCRATCH):
            shutil.rmtree(leftover, ignore_errors=True)
        cut_short = self._folder / layout.CUT_SHORT
        if self._partial.exists():
            if cut_short.exists():
                shutil.rmtree(cut_short)
            self._disk.rename(self._partial, cut_short)
        for name in layout.backups(self._folder)[-1:]:
            self._earlier.append((self._folder / name, _damaged(self._folder / name)))
        if cut_short.exists():
            self._earlier.append((cut_short, frozenset()))
        self._copier.folder(self._root)
        self._copier.folder(str(self._partial / layout.UNITS))

    # Units ----------------------------------------------------------------------------------------------------------

    def users(self) -> None:
        """The database of users and queue rows; what was committed before is in it."""
        copy_database(self._data / DATABASE, Path(self._root) / DATABASE)

    def queue(self) -> None:
        with UnitWriter(self._copier, self._partial, Unit(manifest.QUEUE)) as writer:
            rows = list(listing.tree(str(self._data), "queue"))
            # What is not named yet was not acknowledged; one that is gone since was delivered.
            rows = [row for row in rows if not row.path.rpartition("/")[2].startswith(".")]
            for row in rows:
                writer.add_all(self._take(row, {}))
        self._done(writer)

    def list_account(self, folder: str, address: str, mailboxes: list[Frozen]) -> int:
        """While the server keeps it still: which messages there are, and what the names of their files mean (marks, keywords).

        Their number. An account may be listed and copied once more: then what is there last counts.
        """
        self._listed = None
        found = list(listing.account(str(self._data), f"mail/{folder}"))
        for _ in range(TRIES):
            # Other programs work there, too: one listing proves nothing.
            if not (missing := _missing(mailboxes, found)):
                break
            found = list(listing.account(str(self._data), f"mail/{folder}"))
        if missing:
            log.warning("backup.not_found", account=address, messages=len(missing))
            mailboxes = _without(mailboxes, missing)
        known = self._known(f"mail/{folder}")
        later = [row for row in found if row.database or listing.is_message(row.path) or "/deleted/" in row.path]
        now = set(found).difference(later)
        small: list[File] = []
        for row in found:
            if row in now:
                small += self._take(row, known) or ()
        self._listed = Unit(f"mail/{folder}", address, mailboxes), later, known, small
        return len(later)

    def copy_account(self) -> int:
        """What list_account() found, wherever it went since. How many messages were removed meanwhile."""
        assert self._listed is not None
        unit, rows, known, small = self._listed
        gone: set[str] = set()
        moved: dict[int, str] | None = None
        before = self._files(unit.name)
        with UnitWriter(self._copier, self._partial, unit) as writer:
            writer.add_all(small)
            for number, row in enumerate(rows):
                if number % 256 == 0:
                    self._told(number, len(rows))
                taken = self._take(row, known)
                if taken is not None:
                    writer.add_all(taken)
                    continue
                for _ in range(TRIES):
                    moved = moved or listing.by_inode(str(self._data), unit.name)
                    path = moved.get(row.inode)
                    taken = self._take(row, known, path) if path is not None and _same(path, row.path) else None
                    if taken is not None:
                        writer.add_all(taken)
                        break
                    moved = None
                else:
                    gone.add(row.path)
            if gone:
                writer.unit = _without_gone(unit, gone)
        self._done(writer)
        for path in before - self._files(unit.name) if before else ():
            self._disk.unlink(f"{self._root}/{path}")
        return len(gone)

    def _files(self, unit: str) -> set[str]:
        """What this backup has of a unit so far."""
        return {file.path for file in manifest.read_cut_short(self._partial, unit) if file.sha256}

    def rest(self, config: str) -> None:
        """Keys, other databases, and the settings as they are."""
        with UnitWriter(self._copier, self._partial, Unit(manifest.SYSTEM)) as writer:
            self._copier.folder(str(self._partial / layout.CONFIG))
            target = self._partial / layout.CONFIG / "mailstack.toml"
            self._copier.write(config.encode(), str(target))
            self._copier.octets += target.stat().st_size
            writer.settings(config.encode())
            for row in listing.system(str(self._data)):
                writer.add_all(self._take(row, {}))
        self._done(writer)

    def _take(self, row: Found, known: dict[Key, Known], path: str | None = None) -> list[File] | None:
        """What the manifest says of it; None for a file that is not there any more."""
        target = f"{self._root}/{row.path}"
        if row.path.endswith("/"):
            self._copier.folder(target.rstrip("/"))
            return [File(row.path)]
        if row.database:
            if row.path != DATABASE:
                copy_database(self._data / row.path, Path(target))
            digest, size = digest_of(target)
            self._copier.octets += size
            return [File(row.path, size, digest)]
        for _ in range(TRIES):
            try:
                source = open_regular(f"{self._data}/{path or row.path}")
            except OSError:
                return None
            if source is None:
                return []
            try:
                return [self._take_open(row.path, source, known)]
            except Changed:
                continue
            finally:
                os.close(source)
        raise StoreFailed(f"{row.path}: it changes all the time")

    def _take_open(self, path: str, source: int, known: dict[Key, Known]) -> File:
        status = os.fstat(source)
        key = status.st_ino, status.st_size, status.st_mtime_ns
        target = f"{self._root}/{path}"
        earlier = known.get(key)
        if earlier is not None and not earlier.sure and not is_whole(earlier.path, earlier.sha256):
            earlier = None
        if earlier is not None and (earlier.path == target or self._copier.link(earlier.path, target, status.st_size)):
            digest, size = earlier.sha256, status.st_size
        else:
            digest, size = self._copier.copy(source, target)
        return File(path, size, digest, status.st_mtime_ns, status.st_ino)

    def _known(self, unit: str) -> dict[Key, Known]:
        """What earlier backups have of a unit, and this one, where the unit was copied once."""
        found: dict[Key, Known] = {}
        for backup, damaged in (*self._earlier, (self._partial, frozenset[str]())):
            sure = backup.name != layout.CUT_SHORT
            for file in manifest.read_cut_short(backup, unit):
                if file.sha256 and file.path not in damaged:
                    found[key_of(file)] = Known(f"{backup}/{layout.DATA}/{file.path}", file.sha256, sure)
        return found

    def _done(self, writer: UnitWriter) -> None:
        self._copier.flush()
        self._summaries[writer.summary.name] = writer.summary

    # The end --------------------------------------------------------------------------------------------------------

    def finish(self, hostname: str) -> Manifest:
        """From here on it is a backup."""
        name = layout.name_of(self._now)
        while (self._folder / name).exists():
            self._now += 1
            name = layout.name_of(self._now)
        made = Manifest(
            manifest.FORMAT,
            name,
            self._now,
            time.time(),
            __version__,
            hostname,
            [*self._summaries.values()],
            self._copier.octets,
        )
        self._disk.replace_file(self._partial / layout.MANIFEST, manifest.encode(made))
        self._copier.flush()
        self._disk.rename(self._partial, self._folder / name)
        self._disk.sync_folder(self._folder)
        shutil.rmtree(self._folder / layout.CUT_SHORT, ignore_errors=True)
        return made

    def close(self) -> None:
        """Let others make one there. The end of the process does it, too."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def prune(folder: Path, keep: int, disk: Disk, proven: str | None) -> list[str]:
    """Remove what need not be kept, and never the last one that was proven. Their names."""
    names = [name for name in layout.to_prune(layout.backups(folder), keep) if name != proven]
    for name in names:
        aside = folder / f"{layout.REMOVING}{name}"
        disk.rename(folder / name, aside)
        shutil.rmtree(aside, ignore_errors=True)
    return names


def _damaged(backup: Path) -> frozenset[str]:
    try:
        return frozenset(msgspec.json.decode((backup / layout.DAMAGED).read_bytes(), type=list[str]))
    except (OSError, msgspec.DecodeError):
        return frozenset()


def _missing(mailboxes: Iterable[Frozen], found: list[Found]) -> set[tuple[int, int]]:
    """Messages of which the server knows, as (UIDVALIDITY, UID), and that are not among the files."""
    wanted = {(mailbox.uid_validity, uid) for mailbox in mailboxes for uid in array("I", mailbox.uids)}
    for row in found:
        if listing.is_message(row.path):
            wanted.discard(_number(row.path))
    return wanted


def _number(path: str) -> tuple[int, int]:
    name = parse(os.fsencode(path.rpartition("/")[2]))
    return name.uid_validity or 0, name.uid or 0


def _without_gone(unit: Unit, gone: set[str]) -> Unit:
    """What was removed while it was copied is no part of it."""
    numbers = {_number(path) for path in gone if listing.is_message(path)}
    return msgspec.structs.replace(unit, mailboxes=_without(unit.mailboxes, numbers))


def _without(mailboxes: list[Frozen], gone: set[tuple[int, int]]) -> list[Frozen]:
    return [one.without(uid for validity, uid in gone if validity == one.uid_validity) for one in mailboxes]


def _same(path: str, other: str) -> bool:
    """Whether two names are of one message: of ours, only M= and the flags change; an inode may be another file's by now."""
    first, second = (one.rpartition("/")[2].partition(":2,")[0].partition(",M=")[0] for one in (path, other))
    return first.rpartition("~")[2] == second.rpartition("~")[2]
