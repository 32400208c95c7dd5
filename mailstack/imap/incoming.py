"""What came from a client and was not read yet: octets, compressed where COMPRESS=DEFLATE was asked for (RFC 4978)."""

from __future__ import annotations

import zlib

from mailstack.wire.imap.framing import Framer

INFLATE_AT_ONCE = 65536


class NotDeflated(ValueError):
    """The client's stream can't be read any further."""


class Incoming:
    """Feed it octets; the framer gives what they are, inflate() more of them. An idle one holds no buffer."""

    __slots__ = ("_beyond", "_compressed", "_inflate", "_inflated_more", "framer")

    def __init__(self, framer: Framer) -> None:
        self.framer = framer
        self._inflate: zlib._Decompress | None = None
        self._inflated_more = False
        self._compressed = b""
        self._beyond: bytes | None = None  # what came behind the end of the deflate stream

    @property
    def buffered(self) -> int:
        return self.framer.buffered + len(self._compressed)

    def feed(self, data: bytes) -> None:
        if self._inflate is not None:
            self._compressed += data
        elif self._beyond is not None:
            self._beyond += data
        else:
            self.framer.feed(data)

    def take(self) -> bytes:
        return self.framer.take_buffered()

    def begin_inflating(self) -> None:
        """All that follows the command is compressed."""
        self._inflate = zlib.decompressobj(-15)
        self._compressed = self.framer.take_buffered()

    def end_inflating(self) -> None:
        """What the client sends from here on is plain."""
        self._inflate = None
        rest = self._compressed + (self._beyond or b"")
        self._compressed, self._beyond = b"", None
        self._inflated_more = False
        if rest:
            self.framer.feed(rest)

    def inflate(self) -> bool:
        """Inflate a bounded piece of what waits, for the framer. False when there was none. Raises NotDeflated."""
        if self._beyond is not None:
            raise NotDeflated("The deflate stream ended")
        if self._inflate is None or not (self._compressed or self._inflated_more):
            return False
        try:
            data = self._inflate.decompress(self._compressed, INFLATE_AT_ONCE)
        except zlib.error:
            raise NotDeflated("Not a deflate stream") from None
        self._compressed = self._inflate.unconsumed_tail
        # A full piece: zlib may hold more, although it has taken all input.
        self._inflated_more = len(data) == INFLATE_AT_ONCE
        self.framer.feed(data)
        if self._inflate.eof:
            # What was in it is answered first: UNAUTHENTICATE ends it rightly (RFC 8437 4.1).
            self._beyond = self._inflate.unused_data
            self._inflate = None
            return True
        return bool(data)
