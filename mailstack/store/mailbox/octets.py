"""A large message's file, looked at block by block: never in memory whole, and no step is long. Blocking code."""

import os
from bisect import bisect_right

BLOCK = 1 << 18


class FileOctets:
    """What message.mime.walk() reads. The caller owns the descriptor until close()."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._start = 0
        self._block = b""

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        os.close(self._descriptor)

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self))
        pieces = []
        while start < end:
            at = start - self._load(start)
            piece = self._block[at : at + end - start]
            if not piece:
                break  # the file became shorter
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def find(self, needle: bytes, start: int) -> int:
        while start + len(needle) <= len(self):
            first = self._load(start)
            found = self._block.find(needle, start - first)
            if found >= 0:
                return first + found
            # It may begin in one block and end in the next.
            edge = first + len(self._block)
            seam = max(start, edge - len(needle) + 1)
            found = self[seam : edge + len(needle) - 1].find(needle)
            if found >= 0:
                return seam + found
            if edge <= start:
                break  # the file became shorter
            start = edge
        return -1

    def count(self, needle: bytes, start: int, end: int) -> int:
        """For needles of one octet."""
        total = 0
        while start < end:
            first = self._load(start)
            total += self._block.count(needle, start - first, end - first)
            if first + len(self._block) <= start:
                break
            start = first + len(self._block)
        return total

    def _load(self, offset: int) -> int:
        """Have the block with this offset at hand; where it starts."""
        if not self._start <= offset < self._start + len(self._block):
            self._start = offset - offset % BLOCK
            self._block = os.pread(self._descriptor, BLOCK, self._start)
        return self._start


class ConvertedOctets(FileOctets):
    """A file of bare LF as it goes on the wire."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._places: list[int] = []  # where each block starts on the wire
        place = 0
        for number in range((self._size + BLOCK - 1) // BLOCK):
            self._places.append(place)
            place += len(self._converted(number))
        self._wire_size = place

    def __len__(self) -> int:
        return self._wire_size

    def _converted(self, number: int) -> bytes:
        data = os.pread(self._descriptor, BLOCK, number * BLOCK)
        cut = number and data[:1] == b"\n" and os.pread(self._descriptor, 1, number * BLOCK - 1) == b"\r"
        found = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return found[1:] if cut else found

    def _load(self, offset: int) -> int:
        if not self._start <= offset < self._start + len(self._block):
            number = max(bisect_right(self._places, offset) - 1, 0)
            self._start = self._places[number] if self._places else 0
            self._block = self._converted(number)
        return self._start
