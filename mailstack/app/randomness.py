"""The system's randomness, asked for in blocks: each question of its own would let go of the interpreter, and wait for it."""

import os
import random
import threading

BLOCK = 4096


class BlockRandom(random.SystemRandom):
    """No octet is given twice, in whatever thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._block = b""
        self._used = 0

    def getrandbits(self, k: int, /) -> int:
        """As random.getrandbits()."""
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        size = (k + 7) // 8
        if size > BLOCK:
            return super().getrandbits(k)
        with self._lock:
            if self._used + size > len(self._block):
                self._block, self._used = os.urandom(BLOCK), 0
            octets = self._block[self._used : self._used + size]
            self._used += size
        return int.from_bytes(octets) >> (size * 8 - k)
