"""One mailbox in memory: packed arrays by position, changed only by facts, on the event loop only.

`uids` is replaced and never changed in place, so that a session may keep the object as its view.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from mailstack.message.flag import KEYWORD_COUNT, Flags
from mailstack.store.mailbox import facts
from mailstack.store.mailbox.facts import Added, Fact, Flagged, Rebased, unpack
from mailstack.store.mailbox.values import Change, FlagsChanged, MessagesAdded, MessagesExpunged

SEGMENT = 4096
_LACKS: Final = MappingProxyType(
    {1 << bit: bytes([not octet >> bit & 1 for octet in range(256)]) for bit in range(8)}
)  # a table for bytes.translate: 1 where the flag is not


@dataclass(slots=True)
class Tombstones:
    """UIDs that were expunged, with the MODSEQ of that, in the order it happened. Nothing is known up to `since`."""

    uids: array[int] = field(default_factory=lambda: array("I"))
    modseqs: array[int] = field(default_factory=lambda: array("Q"))
    since: int = 0


def run_in(uids: array[int], wanted: Sequence[int]) -> range | None:
    """Where `wanted` (ascending) stands in `uids`, if it is a run of neighbours there: counted, not searched.

    One that is gone may be among them, and another one in its stead that nobody asked for: that is no run.
    """
    if not wanted:
        return range(0)
    first = bisect_left(uids, wanted[0])
    end = first + len(wanted)
    if end > len(uids) or uids[end - 1] != wanted[-1] or uids[first:end] != array("I", wanted):
        return None
    return range(first, end)


@dataclass(slots=True)
class MailboxState:
    """Positions are valid until the next await."""

    id: str
    uid_validity: int
    uid_next: int = 1
    highest_modseq: int = 1
    uids: array[int] = field(default_factory=lambda: array("I"))
    flags: array[int] = field(default_factory=lambda: array("Q"))
    modseqs: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    dates: array[int] = field(default_factory=lambda: array("q"))
    saved: array[int] = field(default_factory=lambda: array("q"))  # when they came into this mailbox; 0 where nobody knows
    split_bases: list[bytes] = field(default_factory=list)
    packed_bases: list[bytes] = field(default_factory=list)  # as they were read: to be split when they are needed first
    fresh: set[int] = field(default_factory=set)  # UIDs whose files are in new/
    tombstones: Tombstones = field(default_factory=Tombstones)
    keywords: list[str | None] = field(default_factory=lambda: [None] * KEYWORD_COUNT)
    octets: int = 0
    dirty: set[int] = field(default_factory=set)  # segments that differ from what the index holds

    @property
    def bases(self) -> list[bytes]:
        """Names of files without their flags, by position."""
        if self.packed_bases:
            packed, self.packed_bases = self.packed_bases, []
            self.split_bases += b"\n".join(packed).split(b"\n")
        return self.split_bases

    def position(self, uid: int) -> int | None:
        """Where a UID stands, None if it is not there."""
        place = bisect_left(self.uids, uid)
        return place if place < len(self.uids) and self.uids[place] == uid else None

    def positions(self, wanted: array[int] | tuple[int, ...] | list[int]) -> list[int]:
        """Positions of those of `wanted` (ascending) that exist."""
        run = run_in(self.uids, wanted)
        if run is not None:
            return list(run)
        find = self._finder(len(wanted))
        return [place for uid in wanted if (place := find(uid)) is not None]

    def _finder(self, count: int) -> Callable[[int], int | None]:
        """`position`, for so many UIDs: with a table where they are a good part of all."""
        if count > 64 and count * 4 > len(self.uids):
            return {uid: place for place, uid in enumerate(self.uids)}.get
        return self.position

    def first_without(self, flag: Flags) -> int | None:
        """Where the first message without a flag of the system is."""
        place = self._low().translate(_LACKS[int(flag)]).find(1)
        return None if place < 0 else place

    def count_without(self, flag: Flags) -> int:
        return self._low().translate(_LACKS[int(flag)]).count(1)

    def _low(self) -> bytes:
        """The lowest octet of each message's flags, in which those of the system are."""
        return self.flags.tobytes()[0 if sys.byteorder == "little" else 7 :: 8]

    def letters_in_use(self) -> int:
        """Bit n is set when a message carries the keyword of letter n."""
        used = 0
        for flags in set(self.flags):
            used |= flags >> 8
        return used & ((1 << KEYWORD_COUNT) - 1)

    def apply(self, fact: Fact) -> Change | None:
        """Take a committed fact over; the change that sessions must hear of."""
        self.highest_modseq = max(self.highest_modseq, fact.modseq)
        if isinstance(fact, Added):
            return self._add(fact)
        uids = unpack("I", fact.uids)
        if isinstance(fact, Rebased):
            self._rebase(uids, fact.bases.split(b"\n"))
            return None
        if isinstance(fact, Flagged):
            return self._flag(uids, unpack("Q", fact.flags), fact.modseq)
        return self._bury(uids, fact.modseq)

    def _add(self, fact: Added) -> Change | None:
        uids = unpack("I", fact.uids)
        if not uids:
            return None
        bases = fact.bases.split(b"\n")
        flags = unpack("Q", fact.flags)
        sizes = unpack("Q", fact.sizes)
        dates = unpack("q", fact.dates)
        saved = array("q", [fact.saved]) * len(uids)
        if self.uids and uids[0] < self.uids[-1]:
            self._insert(uids, flags, sizes, dates, saved, bases, fact.modseq)
        else:
            self.uids = self.uids + uids
            self.flags.extend(flags)
            self.modseqs.extend([fact.modseq] * len(uids))
            self.sizes.extend(sizes)
            self.dates.extend(dates)
            self.saved.extend(saved)
            self.bases.extend(bases)
        self.octets += sum(sizes)
        self.uid_next = max(self.uid_next, max(uids) + 1)
        if fact.fresh:
            self.fresh.update(uids)
        self.dirty.update(uid // SEGMENT for uid in uids)
        return MessagesAdded(tuple(uids))

    def _insert(
        self,
        uids: array[int],
        flags: array[int],
        sizes: array[int],
        dates: array[int],
        saved: array[int],
        bases: list[bytes],
        modseq: int,
    ) -> None:
        """Adopted files may carry UIDs between those that are known. `uids` ascend."""
        merged = array("I", self.uids)
        modseqs = array("Q", [modseq]) * len(uids)
        # Runs that have no known UID between them, the last one first, so that the places of the others stay true.
        end = len(uids)
        while end:
            place = bisect_left(merged, uids[end - 1])
            first = bisect_left(uids, merged[place - 1], 0, end) if place else 0
            for column, new in (
                (merged, uids),
                (self.flags, flags),
                (self.modseqs, modseqs),
                (self.sizes, sizes),
                (self.dates, dates),
                (self.saved, saved),
            ):
                column[place:place] = new[first:end]
            self.bases[place:place] = bases[first:end]
            end = first
        self.uids = merged

    def _flag(self, uids: array[int], flags: array[int], modseq: int) -> Change | None:
        changed = []
        find = self._finder(len(uids))
        for uid, value in zip(uids, flags, strict=True):
            place = find(uid)
            if place is not None:
                self.flags[place] = value
                self.modseqs[place] = modseq
                changed.append(uid)
        self.dirty.update({uid // SEGMENT for uid in changed})
        self.fresh.difference_update(uids)
        return FlagsChanged(tuple(changed), modseq) if changed else None

    def _rebase(self, uids: array[int], bases: list[bytes]) -> None:
        for uid, base in zip(uids, bases, strict=True):
            place = self.position(uid)
            if place is not None:
                self.bases[place] = base
                self.dirty.add(uid // SEGMENT)

    def _bury(self, uids: array[int], modseq: int) -> Change | None:
        gone = self.positions(uids)
        self.tombstones.uids.extend(uids)
        self.tombstones.modseqs.extend([modseq] * len(uids))
        self.fresh.difference_update(uids)
        if not gone:
            return None
        self.dirty.update(uid // SEGMENT for uid in uids)
        self.octets -= sum(self.sizes[place] for place in gone)
        told = tuple(self.uids[place] for place in gone)
        remaining = array("I", self.uids)
        for first, last in _runs(gone):
            del remaining[first:last]
            del self.flags[first:last]
            del self.modseqs[first:last]
            del self.sizes[first:last]
            del self.dates[first:last]
            del self.saved[first:last]
            del self.bases[first:last]
        self.uids = remaining
        return MessagesExpunged(told, modseq)

    # Snapshots ------------------------------------------------------------------------------------------------------

    def segment(self, number: int) -> bytes | None:
        """The packed messages of one range of UIDs; None when it is empty."""
        first = bisect_left(self.uids, number * SEGMENT)
        last = bisect_left(self.uids, (number + 1) * SEGMENT)
        if first == last:
            return None
        fresh = array("I", sorted(uid for uid in self.fresh if uid // SEGMENT == number))
        return facts.pack_segment(
            [
                self.uids[first:last].tobytes(),
                self.flags[first:last].tobytes(),
                self.modseqs[first:last].tobytes(),
                self.sizes[first:last].tobytes(),
                self.dates[first:last].tobytes(),
                b"\n".join(self.bases[first:last]),
                fresh.tobytes(),
                self.saved[first:last].tobytes(),
            ]
        )

    def load_segment(self, data: bytes) -> None:
        """Append a segment before anybody sees the state; they come in ascending order. The head says `octets`.

        Those of version 1 of the index do not say when messages came.
        """
        uids, flags, modseqs, sizes, dates, bases, fresh, *more_columns = facts.unpack_segment(data)
        self.uids.frombytes(uids)
        self.saved.frombytes(more_columns[0] if more_columns else bytes(2 * len(uids)))
        self.flags.frombytes(flags)
        self.modseqs.frombytes(modseqs)
        self.sizes.frombytes(sizes)
        self.dates.frombytes(dates)
        self.packed_bases.append(bases)
        if fresh:
            self.fresh.update(unpack("I", fresh))

    def visible_flags(self, place: int) -> Flags:
        return Flags(self.flags[place])


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Ascending positions as half-open runs, the last run first, so that deleting them keeps the others true."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    runs.reverse()
    return runs
