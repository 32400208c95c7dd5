"""UIDBATCHES cuts a mailbox into pieces that hold each message once (RFC 10022 3.1)."""

import itertools
import random
from array import array

from mailstack.imap.commands.uidbatches import batches


def test_each_message_is_in_one_batch() -> None:
    chosen = random.Random(10022)
    for _ in range(200):
        uids = array("I", sorted(chosen.sample(range(1, 400), chosen.randrange(0, 120))))
        size = chosen.randrange(1, 130)
        found = list(batches(uids, size, 1, None))
        assert len(found) == -(-len(uids) // size)
        assert [low - high for (_, low), (high, _) in itertools.pairwise(found)] == [1] * (len(found) - 1)
        held = [[uid for uid in uids if low <= uid <= high] for high, low in found]
        assert [len(one) for one in held[:-1]] == [size] * (len(held) - 1)
        assert sorted(uid for one in held for uid in one) == list(uids)
        assert not found or (found[0][0] == uids[-1] and found[-1][1] == 1)


def test_a_range_of_batches() -> None:
    uids = array("I", range(1, 7001))
    assert list(batches(uids, 2000, 1, 5)) == [(7000, 5001), (5000, 3001), (3000, 1001), (1000, 1)]
    assert list(batches(uids, 2000, 2, 3)) == [(5000, 3001), (3000, 1001)]
    assert list(batches(uids, 2000, 6, 8)) == []
    assert list(batches(uids, 4294967295, 1, None)) == [(7000, 1)]
