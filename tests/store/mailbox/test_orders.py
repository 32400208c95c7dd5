"""Orders of a mailbox, against sorting what its messages say, as messages come and go."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message import sortkeys
from mailstack.store.mailbox import orders
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.orders import Order, Orders, by_places, in_pieces


class Box:
    """What Orders reads of a mailbox."""

    def __init__(self) -> None:
        self.uids, self.dates, self.sizes = array("I"), array("q"), array("Q")
        self.headers: dict[int, bytes] = {}
        self.asked = 0

    def add(self, uid: int, header: bytes, date: int, size: int) -> None:
        self.headers[uid] = header
        for column, value in ((self.uids, uid), (self.dates, date), (self.sizes, size)):
            column.append(value)

    def remove(self, place: int) -> None:
        for column in (self.uids, self.dates, self.sizes):
            column.pop(place)

    def position(self, uid: int) -> int | None:
        return self.uids.index(uid) if uid in self.uids else None

    def by_pack(self, uids: Sequence[int]) -> list[tuple[int, Sequence[int]]]:
        return [(0, uids)]

    @contextlib.asynccontextmanager
    async def ahead(self, *_: object) -> AsyncIterator[None]:
        yield

    async def sort_keys(self, uids: Sequence[int]) -> dict[int, bytes]:
        self.asked += len(uids)
        return {uid: sortkeys.dump(sortkeys.keys(self.headers[uid])) for uid in uids if uid in self.uids}


def value(box: Box, uid: int, order: Order) -> Any:
    place = box.uids.index(uid)
    keys = sortkeys.keys(box.headers[uid])
    match order:
        case Order.ARRIVAL:
            return box.dates[place]
        case Order.SIZE:
            return box.sizes[place]
        case Order.DATE:
            return box.dates[place] if keys[0] is None else keys[0]
        case _:
            return keys[order.value]


def model(box: Box, found: list[int], program: tuple[tuple[Order, bool], ...]) -> list[int]:
    for order, descending in reversed(program):
        found = sorted(found, key=lambda uid, order=order: value(box, uid, order), reverse=descending)  # type: ignore[misc]
    return found


HEADERS = st.builds(
    lambda subject, sender, date: f"Subject: {subject}\r\nFrom: {sender}@x.test\r\nTo: {sender} <b@c>\r\n{date}\r\n".encode(),
    st.sampled_from(["", "a", "Re: a", "B", "[x] b", "ä"]),
    st.sampled_from("abC"),
    st.sampled_from(["", "Date: 1 Feb 2024 10:00:00 +0000\r\n", "Date: 1 Feb 2024 11:30:00 +0200\r\n"]),
)
PROGRAMS = st.lists(st.tuples(st.sampled_from(Order), st.booleans()), min_size=1, max_size=3, unique_by=lambda one: one[0])
MESSAGES = st.tuples(HEADERS, st.integers(1706700000, 1706800000), st.integers(1, 3))
STEPS = st.lists(st.one_of(MESSAGES, st.integers(0, 5), PROGRAMS), max_size=25)


@settings(max_examples=300, deadline=None)
@given(STEPS, PROGRAMS, st.integers(1, 5), st.data())
def test_as_if_sorted_each_time(steps: list[Any], last: Any, at_once: int, data: st.DataObject) -> None:
    async def run() -> None:
        box, kept, uid = Box(), Orders(), 0
        for step in [*steps, last]:
            if isinstance(step, tuple):
                uid += 2
                box.add(uid, *step)
            elif isinstance(step, int):
                if step < len(box.uids):
                    box.remove(step)
            else:
                found = [one for one in box.uids if data.draw(st.booleans())]
                program = tuple(step)
                assert await kept.in_order(cast(Mailbox, box), found, program) == model(box, found, program)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "AT_ONCE", at_once * 4)
        asyncio.run(run())


async def test_what_is_known_is_not_asked_again() -> None:
    box, kept = Box(), Orders()
    for uid in range(1, 50):
        box.add(uid, b"Subject: x%d\r\n\r\n" % (uid % 7), uid, uid)
    mailbox = cast(Mailbox, box)
    await kept.in_order(mailbox, list(box.uids), ((Order.SUBJECT, False),))
    asked = box.asked
    box.remove(10)
    await kept.in_order(mailbox, list(box.uids), ((Order.SUBJECT, True),))
    await kept.in_order(mailbox, list(box.uids), ((Order.ARRIVAL, True),))
    assert box.asked == asked


async def test_no_subject_is_zero() -> None:
    box, kept = Box(), Orders()
    box.add(1, b"Subject: x\r\n\r\n", 0, 0)
    _, _, subjects = await kept.references(cast(Mailbox, box))
    assert list(subjects) == [1]
    box.add(2, b"\r\n", 0, 0)
    _, _, subjects = await kept.references(cast(Mailbox, box))
    assert list(subjects) == [1, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.booleans())
def test_in_pieces(values: list[int], descending: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "AT_ONCE", 4)
        assert asyncio.run(in_pieces(values)) == sorted(values)
        positions = range(len(values))
        found = asyncio.run(by_places(positions, values.__getitem__, max(values), descending=descending))
        assert found == sorted(positions, key=values.__getitem__, reverse=descending)
