"""Looking for what other programs did in a mailbox's folder. Blocking code on copies of the state; changes nothing but names.

One scan proves nothing: under constant renames a folder's listing may miss files. A file is gone only when two complete
listings lack it and the folder did not change between them.
"""

from __future__ import annotations

import heapq
import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mailstack.log import get_logger
from mailstack.message.flag import from_letters, to_letters
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.adopting import Adoption
from mailstack.store.mailbox.doubles import settle
from mailstack.store.mailbox.filename import compose, parse, safe_unique, split, stem
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
    complete: bool = True  # whether all that was in the folder was known once: a name does not bring an old UID back then


@dataclass(slots=True)
class Found:
    """What differs from the index."""

    adoptions: list[Adoption] = field(default_factory=list)
    bases: dict[int, bytes] = field(default_factory=dict)  # UID -> the base that another program made of ours
    flags: dict[int, int] = field(default_factory=dict)  # UID -> new flags; the file is in cur/
    gone: list[int] = field(default_factory=list)
    times: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Listing:
    """Base -> path below the Maildir; a file in cur/ wins over one in new/. `doubles` are other paths of the same bases."""

    paths: dict[bytes, bytes] = field(default_factory=dict)
    doubles: dict[bytes, set[bytes]] = field(default_factory=dict)

    def take(self, base: bytes, path: bytes) -> None:
        other = self.paths.get(base)
        if other is not None and other != path:
            self.doubles.setdefault(base, {other}).add(path)
        self.paths[base] = path


def _listing(maildir: Maildir, prefix: bytes) -> _Listing:
    found = _Listing()
    take = found.take
    for part in (b"new", b"cur"):
        where = prefix + part
        for name in os.listdir(maildir.path(where)):
            if not name.startswith(b"."):
                take(split(name)[0], where + b"/" + name)
    return found


def scan(maildir: Maildir, known: Known, new_unique: Callable[[], str], host: str) -> Found:
    """Compare the folder with the index."""
    prefix = os.fsencode(known.folder) + b"/" if known.folder else b""
    found = Found()
    found.times = maildir.times(known.folder)
    listed = _listing(maildir, prefix)
    listing = listed.paths
    places = {base: place for place, base in enumerate(known.bases)}
    missing = {base for base in places if base not in listing}  # the views' difference would hold the interpreter
    for _ in range(TRIES):
        if not missing:
            break
        before = maildir.times(known.folder)
        again = _listing(maildir, prefix).paths
        missing &= places.keys() - again.keys()
        listing |= again
        if maildir.times(known.folder) == before == found.times:
            found.gone = sorted(known.uids[places[base]] for base in missing)
            break
        found.times = before
    others = _settle(maildir, known, prefix, listed, places)
    others += _follow(maildir, known, prefix, listing, places, found)
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
    unknown = [(base, path) for base, path in listing.items() if base not in places] + others
    if unknown:
        found.adoptions = _adopt(maildir, known, unknown, prefix, new_unique, host)
    return found


def _follow(
    maildir: Maildir, known: Known, prefix: bytes, listing: dict[bytes, bytes], places: dict[bytes, int], found: Found
) -> list[tuple[bytes, bytes]]:
    """A name of ours that another program added to stands for the same message: its UID stays. Gives those of others."""
    others: list[tuple[bytes, bytes]] = []
    for base in [base for base in listing if base not in places and b",M=" in base]:
        place = _place_of(known, base)
        if place is None or places.get(known.bases[place]) != place:
            continue
        old = known.bases[place]
        keeper = listing[base]
        if old in listing:
            expected = _expected(known, prefix, place)
            keeper, more = settle(maildir, prefix, [listing[old], listing.pop(base)], expected)
            base = split(keeper.rpartition(b"/")[2])[0]
            others += [(split(path.rpartition(b"/")[2])[0], path) for path in more]
            del listing[old]
        listing[base] = keeper
        del places[old]
        places[base] = place
        if base != old:
            found.bases[known.uids[place]] = base
    found.gone = [uid for uid in found.gone if uid not in found.bases]
    return others


def _place_of(known: Known, base: bytes) -> int | None:
    """The known message that a name was made for."""
    name = parse(base)
    if name.uid is None or name.uid_validity != known.uid_validity or not _storable(base):
        return None
    place = bisect_left(known.uids, name.uid)
    if place == len(known.uids) or known.uids[place] != name.uid:
        return None
    return place if stem(known.bases[place]) == stem(base) else None


def _storable(base: bytes) -> bool:
    return len(base) <= LONGEST_BASE and b"\n" not in base


def _expected(known: Known, prefix: bytes, place: int) -> bytes:
    return prefix + b"cur/" + known.bases[place] + b":2," + to_letters(known.flags[place]).encode()


def _settle(
    maildir: Maildir, known: Known, prefix: bytes, listed: _Listing, places: dict[bytes, int]
) -> list[tuple[bytes, bytes]]:
    """One path for each base; bases and paths of what are other messages with the same name."""
    others: list[tuple[bytes, bytes]] = []
    for base, paths in listed.doubles.items():
        place = places.get(base)
        expected = None
        if place is not None:
            expected = _expected(known, prefix, place)
        listed.paths[base], more = settle(maildir, prefix, sorted(paths), expected)
        others += [(base, path) for path in more]
    return others


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
    strangers: list[tuple[bool, int, bytes, str, int, int]] = []
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
                and (name.uid >= known.uid_next or not known.complete)
                and name.size == status.st_size
                and name.wire_size is not None
                and name.time is not None
                and name.unique is not None
                and safe_unique(name.unique)
                and _storable(base)
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
            fresh = fresh and not name.letters
            strangers.append((fresh, status.st_mtime_ns, path, name.letters, status.st_size, wire_size))
        except (FileNotFoundError, MessageGone):
            continue  # gone meanwhile, or told of already
        except OSError as problem:
            log.warning("store.file_skipped", file=os.fsdecode(maildir.path(path)), problem=problem.strerror)
    for fresh, time, path, letters, size, wire_size in _in_order(strangers, lambda stranger: stranger):
        date = time // 1_000_000_000
        base = compose(date, new_unique(), host, size, wire_size, known.uid_validity, uid_next)
        flags = int(from_letters(letters))
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
