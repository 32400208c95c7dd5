"""A client that follows ADDTO and REMOVEFROM has what a new search would give it."""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap.contexts import Context, Contexts
from mailstack.imap.selected import Selected
from mailstack.store.mailbox.values import FlagsChanged, MessagesAdded, MessagesExpunged

_ITEM = re.compile(rb" (ADDTO|REMOVEFROM) \(([^)]*)\)")


class Box:
    """Messages that match or not, with a key to sort by; and what the client was told of them."""

    def __init__(self) -> None:
        self.there: dict[int, tuple[bool, int]] = {}
        self.told = array("I")
        self.mailbox = self

    def position(self, uid: int) -> int | None:
        return sorted(self.there).index(uid) if uid in self.there else None

    def number(self, uid: int) -> int | None:
        return self.told.index(uid) + 1 if uid in self.told else None

    async def matching(self, uids: Sequence[int]) -> Sequence[int]:
        return [uid for uid in uids if uid in self.there and self.there[uid][0]]

    async def in_order(self, uids: Sequence[int]) -> Sequence[int]:
        return sorted(uids, key=lambda uid: (uid * 7919) % 13)


def expand(text: bytes) -> list[int]:
    found: list[int] = []
    for piece in text.split(b","):
        first, _, last = piece.partition(b":")
        found += range(int(first), int(last or first) + 1)
    return found


def follow(box: Box, held: list[int], line: bytes, uid: bool, ordered: bool) -> None:
    """What RFC 5267 4.3.2 tells a client to do, pair by pair."""
    for kind, pairs in _ITEM.findall(line):
        words = pairs.split()
        for position, members in zip(map(int, words[::2]), words[1::2], strict=True):
            uids = expand(members) if uid else [box.told[number - 1] for number in expand(members)]
            assert (position > 0) is ordered
            if kind == b"REMOVEFROM":
                if ordered:
                    assert held[position - 1 : position - 1 + len(uids)] == uids
                for one in uids:
                    held.remove(one)
            elif ordered:
                held[position - 1 : position - 1] = uids
            else:
                held += uids
                held.sort()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.booleans()),
        st.tuples(st.just("flip"), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("tell"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=500, deadline=None)
@given(STEPS, st.booleans(), st.booleans())
def test_the_client_has_what_a_search_finds(steps: list[tuple[str, Any]], uid: bool, ordered: bool) -> None:
    async def run() -> None:
        box, contexts, held, last = Box(), Contexts(), list[int](), 0
        selected = cast(Selected, box)
        contexts.add(Context(b"t", b'(TAG "t")', uid, box.matching, box.in_order if ordered else None, []))
        for what, how in [*steps, ("tell", True), ("tell", True)]:
            alive = sorted(box.there)
            if what == "add":
                last += 1
                box.there[last] = (how, 0)
                contexts.hear(MessagesAdded((last,)))
            elif what in ("flip", "remove") and how < len(alive):
                one = alive[how]
                if what == "flip":
                    box.there[one] = (not box.there[one][0], 0)
                    contexts.hear(FlagsChanged((one,), 1))
                else:
                    del box.there[one]
                    contexts.hear(MessagesExpunged((one,), 1))
            elif what == "tell":
                gone = [one for one in box.told if one not in box.there]
                if how:  # expunges may be told
                    for line in contexts.expunged(selected, gone):
                        follow(box, held, line, uid, ordered)
                    box.told = array("I", [one for one in box.told if one in box.there])
                box.told.extend([one for one in sorted(box.there) if one not in box.told])
                for line in await contexts.settle(selected):
                    follow(box, held, line, uid, ordered)
                assert held == list(await box.in_order(await box.matching(sorted(box.there))) if ordered else
                                    await box.matching(sorted(box.there)))  # fmt: skip

    asyncio.run(run())
