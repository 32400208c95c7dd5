"""Randomness in blocks is as good as the system's: no octet comes twice, and none of the range is missing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mailstack.app.randomness import BLOCK, BlockRandom


def test_any_number_of_bits() -> None:
    one = BlockRandom()
    for bits in (0, 1, 7, 8, 9, 63, 64, 128, BLOCK * 8, BLOCK * 8 + 1):
        assert 0 <= one.getrandbits(bits) < 1 << bits
    assert {one.getrandbits(3) for _ in range(1000)} == set(range(8))
    assert {one.randrange(6) for _ in range(1000)} == set(range(6))
    with pytest.raises(ValueError, match="non-negative"):
        one.getrandbits(-1)


def test_threads_are_never_given_the_same() -> None:
    one = BlockRandom()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: one.getrandbits(128), range(4000)))
    assert len(set(found)) == len(found)
