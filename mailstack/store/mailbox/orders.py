"""What an open mailbox keeps for SORT and THREAD: of each message its place in each order, four octets a message and order.

A message's place is worked out from the kept keys (`Mailbox.sort_keys`) and stays true until others come: those that go leave
no trace in the order of the rest.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from mailstack.message import sortkeys
from mailstack.store.mailbox import answers

if TYPE_CHECKING:
    from mailstack.store.mailbox.mailbox import Mailbox

AT_ONCE = 4096  # items between two looks at the event loop
REMEMBERED = 8


class Order(enum.Enum):
    """By what messages are put in order (RFC 5256 3, RFC 5957 4); the values of kept keys are their places in `Keys`."""

    SUBJECT = 2
    FROM = 3
    TO = 4
    CC = 5
    DISPLAYFROM = 6
    DISPLAYTO = 7
    DATE = 0
    ARRIVAL = -1
    SIZE = -2


Program = tuple[tuple[Order, bool], ...]  # orders, and whether they are descending


class References:
    """Message-IDs and what they refer to, of all messages one after another."""

    __slots__ = ("_all", "_ends", "ids", "replies")

    def __init__(self) -> None:
        self.ids = array("Q")
        self.replies = bytearray()
        self._all = array("Q")
        self._ends = array("I", [0])

    def add(self, keys: sortkeys.Keys) -> None:
        self.replies.append(keys[1])
        self.ids.append(keys[8])
        self._all.extend(keys[9])
        self._ends.append(len(self._all))

    def of(self, place: int) -> array[int]:
        return self._all[self._ends[place] : self._ends[place + 1]]


class Orders:
    """One mailbox's. `uids` are the messages that all else is about, by position."""

    __slots__ = ("_columns", "_references", "_remembered", "_turn", "uids")

    def __init__(self) -> None:
        self.uids = array("I")
        self._columns: dict[Order, array[int]] = {}
        self._references: References | None = None
        self._remembered: OrderedDict[Hashable, Any] = OrderedDict()
        self._turn = asyncio.Lock()

    async def in_order(self, mailbox: Mailbox, found: Sequence[int], program: Program) -> list[int]:
        """Ascending UIDs by the orders, the first of them first; where all are equal they stay as they are."""
        columns = await self.columns(mailbox, [order for order, _ in program])
        uids, key = self.uids, ("sorted", program)
        everything: array[int] | None = self.recall(key)
        if everything is None:
            positions: Sequence[int] = range(len(uids))
            for column, (_, descending) in reversed(list(zip(columns, program, strict=True))):
                positions = await by_places(positions, column.__getitem__, max(column, default=0), descending=descending)
            everything = array("I", positions)
            if uids is self.uids:
                self.remember(key, everything)
        chosen = self.positions(found, uids)
        marks = bytearray(b"\1") * len(uids)
        if len(chosen) < len(uids):
            await asyncio.sleep(0)
            marks = bytearray(len(uids))
            for position in chosen:
                marks[position] = 1
        ordered: list[int] = []
        for first in range(0, len(everything), AT_ONCE * 4):
            await asyncio.sleep(0)
            ordered += [uids[position] for position in everything[first : first + AT_ONCE * 4] if marks[position]]
        return ordered

    def recall(self, key: Hashable) -> Any:
        """What was remembered, if no message has come since."""
        return self._remembered.get(key)

    def remember(self, key: Hashable, value: Any) -> None:
        """For what is worked out from these orders; few things at once."""
        self._remembered[key] = value
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    async def columns(self, mailbox: Mailbox, orders: Sequence[Order]) -> list[array[int]]:
        """By position the place in each of the orders: 0 is the smallest value, equal values have equal places."""
        async with self._turn:
            await self._follow(mailbox)
            if any(order not in self._columns for order in orders):
                await self._work_out(mailbox, {*orders, *self._columns}, self._references is not None)
            return [self._columns[order] for order in orders]

    async def references(self, mailbox: Mailbox) -> tuple[References, array[int], array[int]]:
        """With the columns of DATE and SUBJECT."""
        async with self._turn:
            await self._follow(mailbox)
            if self._references is None or not {Order.DATE, Order.SUBJECT} <= self._columns.keys():
                await self._work_out(mailbox, {Order.DATE, Order.SUBJECT, *self._columns}, True)
            assert self._references is not None
            return self._references, self._columns[Order.DATE], self._columns[Order.SUBJECT]

    @staticmethod
    def positions(uids: Sequence[int], known: array[int]) -> Sequence[int]:
        """Of ascending UIDs among the known ones; others are left out."""
        if uids is known or (len(uids) == len(known) and array("I", uids) == known):
            return range(len(known))
        if len(uids) * 8 > len(known):
            wanted = set(uids)
            return [place for place, uid in enumerate(known) if uid in wanted]
        found = []
        for uid in uids:
            place = bisect_left(known, uid)
            if place < len(known) and known[place] == uid:
                found.append(place)
        return found

    async def _follow(self, mailbox: Mailbox) -> None:
        """Start anew when there are messages that are not known."""
        uids = mailbox.uids
        if not uids or (self.uids and self.uids[-1] >= uids[-1]):
            return  # UIDs rise: no other can have come
        orders, references = set(self._columns), self._references is not None
        self._columns, self._references = {}, None
        self._remembered.clear()
        self.uids = uids[:]
        if orders or references:
            await self._work_out(mailbox, orders, references)

    async def _work_out(self, mailbox: Mailbox, orders: set[Order], with_references: bool) -> None:
        missing = [order for order in orders if order not in self._columns]
        references = References() if with_references and self._references is None else None
        values: dict[Order, list[Any]] = {order: [] for order in missing}
        reads = references is not None or any(order.value >= 0 for order in missing)
        # What was never made is made by more than one.
        numbers = [number for number, _ in mailbox.by_pack(self.uids)] if reads else []
        async with mailbox.ahead(answers.SORT, numbers, self.uids):
            await self._read(mailbox, values, references)
        for order, column in values.items():
            # The empty string has a place even where no message has it: 0 is "none" for each of the kept keys.
            self._columns[order] = await places(column, {b""} if order.value > 0 else set())
        if references is not None:
            self._references = references

    async def _read(self, mailbox: Mailbox, values: dict[Order, list[Any]], references: References | None) -> None:
        """Fill the columns, and the references, from the kept keys and the mailbox's arrays."""
        kept = [order for order in values if order.value > 0]
        uids, empty = self.uids, sortkeys.keys(b"")
        for first in range(0, len(uids), AT_ONCE // 4):
            some = uids[first : first + AT_ONCE // 4]
            arrivals = {uid: mailbox.dates[place] for uid in some if (place := mailbox.position(uid)) is not None}
            if Order.SIZE in values:
                values[Order.SIZE] += [mailbox.sizes[p] if (p := mailbox.position(uid)) is not None else 0 for uid in some]
            if Order.ARRIVAL in values:
                values[Order.ARRIVAL] += [arrivals.get(uid, 0) for uid in some]
            if not (kept or references is not None or Order.DATE in values):
                await asyncio.sleep(0)
                continue
            packed = await mailbox.sort_keys(some)
            for uid in some:
                data = packed.get(uid)
                keys = sortkeys.load(data) if data is not None else empty
                for order in kept:
                    values[order].append(keys[order.value])
                if Order.DATE in values:
                    sent = keys[0]
                    values[Order.DATE].append(arrivals.get(uid, 0) if sent is None else sent)
                if references is not None:
                    references.add(keys)
            await asyncio.sleep(0)


async def places(values: list[Any], more: set[Any]) -> array[int]:
    """By position the place of each value among the different ones (and some more), in rising order."""
    distinct = set(more)
    for first in range(0, len(values), AT_ONCE):
        distinct.update(values[first : first + AT_ONCE])
        await asyncio.sleep(0)
    different = await in_pieces(list(distinct))
    place: dict[Any, int] = {}
    for first in range(0, len(different), AT_ONCE):
        place.update(zip(different[first : first + AT_ONCE], range(first, first + AT_ONCE), strict=False))
        await asyncio.sleep(0)
    found = array("I")
    for first in range(0, len(values), AT_ONCE):
        found.extend([place[value] for value in values[first : first + AT_ONCE]])
        await asyncio.sleep(0)
    return found


async def in_pieces(values: list[Any]) -> list[Any]:
    """Sorted, without holding the event loop for long."""
    if len(values) <= AT_ONCE:
        return sorted(values)
    pieces = []
    for first in range(0, len(values), AT_ONCE):
        pieces.append(sorted(values[first : first + AT_ONCE]))
        await asyncio.sleep(0)
    merged: list[Any] = []
    together = heapq.merge(*pieces)
    while some := list(itertools.islice(together, AT_ONCE // 2)):
        merged += some
        await asyncio.sleep(0)
    return merged


async def by_places(positions: Sequence[int], place: Callable[[int], int], highest: int, *, descending: bool) -> list[int]:
    """Positions in the order of their places; those of equal places stay as they were."""
    if len(positions) <= AT_ONCE:
        return sorted(positions, key=place, reverse=descending)
    width = highest * AT_ONCE // len(positions) + 1
    buckets: list[list[int]] = [[] for _ in range(highest // width + 1)]
    for first in range(0, len(positions), AT_ONCE):
        for position in positions[first : first + AT_ONCE]:
            buckets[place(position) // width].append(position)
        await asyncio.sleep(0)
    found: list[int] = []
    done = 0
    for bucket in reversed(buckets) if descending else buckets:
        bucket.sort(key=place, reverse=descending)
        found += bucket
        done += len(bucket)
        if done > AT_ONCE:
            done = 0
            await asyncio.sleep(0)
    return found
