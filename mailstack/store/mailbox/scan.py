"""Looking for what other programs did in a mailbox's folder. Blocking code on copies of the state; changes nothing but names.

One scan proves nothing: under constant renames a folder's listing may miss files. A file is gone only when two complete
listings lack it and the folder did not change between them.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mailstack.log import get_logger
from mailstack.message.flag import from_letters, to_letters
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.filename import compose, parse, safe_unique, split
from mailstack.store.mailbox.maildir import Maildir

T = TypeVar("T")
log = get_logger()
TRIES = 4
SORTED_AT_ONCE = 4096
LONGEST_BASE = 200  # with all flags the name must stay below 255 octets


@dataclass(frozen=True, slots=True)
class Known:
    """A copy of what the index says."""

    folder: str
    uid_validity: int
    uid_next: int
    uid_mark: int
    uids: array[int]
    flags: array[int]
    bases: list[bytes]
    fresh: frozenset[int]
    buried: frozenset[int]


@dataclass(frozen=True, slots=True)
class Adoption:
    """A file that gets a UID, or keeps the one in its name."""

    source: bytes
    target: bytes
    base: bytes
    uid: int
    flags: int
    size: int
    date: int
    fresh: bool
    known: bool  # it was in this mailbox before


@dataclass(slots=True)
class Found:
    """What differs from the index."""

    adoptions: list[Adoption] = field(default_factory=list)
    flags: dict[int, int] = field(default_factory=dict)  # UID -> new flags; the file is in cur/
    gone: list[int] = field(default_factory=list)
    times: tuple[int, int] = (0, 0)


def _listing(maildir: Maildir, prefix: bytes) -> dict[bytes, bytes]:
    """Base -> path below the Maildir; a file in cur/ wins over one in new/."""
    found: dict[bytes, bytes] = {}
    for part in (b"new", b"cur"):
        where = prefix + part
        for name in os.listdir(maildir.path(where)):
            if not name.startswith(b"."):
                found[split(name)[0]] = where + b"/" + name
    return found


def scan(maildir: Maildir, known: Known, new_unique: Callable[[], str], host: str) -> Found:
    """Compare the folder with the index."""
    prefix = os.fsencode(known.folder) + b"/" if known.folder else b""
    found = Found()
    found.times = maildir.times(known.folder)
    listing = _listing(maildir, prefix)
    places = {base: place for place, base in enumerate(known.bases)}
    missing = places.keys() - listing.keys()
    for _ in range(TRIES):
        if not missing:
            break
        before = maildir.times(known.folder)
        again = _listing(maildir, prefix)
        missing &= places.keys() - again.keys()
        listing |= again
        if maildir.times(known.folder) == before == found.times:
            found.gone = sorted(known.uids[places[base]] for base in missing)
            break
        found.times = before
    for base, path in listing.items():
        place = places.get(base)
        if place is None:
            continue
        uid = known.uids[place]
        if path.startswith(prefix + b"new/"):
            continue
        flags = int(from_letters(split(path.rpartition(b"/")[2])[1]))
        if flags != known.flags[place] or uid in known.fresh:
            found.flags[uid] = flags
    unknown = [(base, path) for base, path in listing.items() if base not in places]
    if unknown:
        found.adoptions = _adopt(maildir, known, unknown, prefix, new_unique, host)
    return found


def _in_order(rows: list[T], key: Callable[[T], Any]) -> Iterator[T]:
    """Sorted, some thousand at a time: one long sort would hold the interpreter, and the event loop with it."""
    pieces = [sorted(rows[first : first + SORTED_AT_ONCE], key=key) for first in range(0, len(rows), SORTED_AT_ONCE)]
    return heapq.merge(*pieces, key=key)


def _adopt(
    maildir: Maildir,
    known: Known,
    unknown: list[tuple[bytes, bytes]],
    prefix: bytes,
    new_unique: Callable[[], str],
    host: str,
) -> list[Adoption]:
    taken = set(known.uids)
    uid_next = known.uid_next
    adoptions: list[Adoption] = []
    strangers: list[tuple[int, bytes, str, int, int, bool]] = []
    for base, path in unknown:
        try:
            status = os.lstat(maildir.path(path))
            if not stat.S_ISREG(status.st_mode):
                log.warning("store.file_skipped", file=os.fsdecode(maildir.path(path)), problem="not a regular file")
                continue
            name = parse(path.rpartition(b"/")[2])
            fresh = path.startswith(prefix + b"new/")
            if (
                name.uid is not None
                and name.uid_validity == known.uid_validity
                and name.uid < known.uid_mark
                and name.uid not in taken
                and name.uid not in known.buried
                and name.size == status.st_size
                and name.wire_size is not None
                and name.time is not None
                and name.unique is not None
                and safe_unique(name.unique)
                and len(base) <= LONGEST_BASE
            ):
                taken.add(name.uid)
                uid_next = max(uid_next, name.uid + 1)
                flags = int(from_letters(name.letters))
                fresh = fresh and not flags
                target = _target(prefix, base, flags, fresh)
                adoptions.append(Adoption(path, target, base, name.uid, flags, name.wire_size, name.time, fresh, True))
                continue
            wire_size = name.wire_size if name.size == status.st_size else None
            if wire_size is None:
                wire_size = _wire_size(maildir, path)
            strangers.append((status.st_mtime_ns, path, name.letters, status.st_size, wire_size, fresh))
        except (FileNotFoundError, MessageGone):
            continue  # gone meanwhile, or told of already
        except OSError as problem:
            log.warning("store.file_skipped", file=os.fsdecode(maildir.path(path)), problem=problem.strerror)
    for time, path, letters, size, wire_size, fresh in _in_order(strangers, lambda stranger: stranger):
        date = time // 1_000_000_000
        base = compose(date, new_unique(), host, size, wire_size, known.uid_validity, uid_next)
        flags = int(from_letters(letters))
        fresh = fresh and not flags
        target = _target(prefix, base, flags, fresh)
        adoptions.append(Adoption(path, target, base, uid_next, flags, wire_size, date, fresh, False))
        uid_next += 1
    return list(_in_order(adoptions, lambda adoption: adoption.uid))


def _target(prefix: bytes, base: bytes, flags: int, fresh: bool) -> bytes:
    return prefix + (b"new/" + base if fresh else b"cur/" + base + b":2," + to_letters(flags).encode())


def _wire_size(maildir: Maildir, path: bytes) -> int:
    """Octets with every line ended by CRLF."""
    descriptor = maildir.open(path)
    try:
        size = 0
        last = b""
        while block := os.read(descriptor, 1 << 20):
            bare = block.count(b"\n") - block.count(b"\r\n")
            if last == b"\r" and block[:1] == b"\n":
                bare -= 1
            size += len(block) + bare
            last = block[-1:]
        return size
    finally:
        os.close(descriptor)


def rename_adopted(maildir: Maildir, adoptions: list[Adoption]) -> list[Adoption]:
    """Give the files their names; those that vanished meanwhile are left out."""
    done: list[Adoption] = []
    with maildir.ours([path for adoption in adoptions for path in (adoption.source, adoption.target)]):
        for adoption in adoptions:
            if adoption.source == adoption.target:
                done.append(adoption)
                continue
            with contextlib.suppress(FileNotFoundError):
                maildir.disk.rename(maildir.path(adoption.source), maildir.path(adoption.target))
                done.append(adoption)
    maildir.sync_parents(adoption.target for adoption in done if adoption.source != adoption.target)
    return done
