"""Messages on a helper's pipes: a length of four octets and MessagePack."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from mailstack.store.fulltext.questions import Answer, Numbered, encoder

LENGTH = struct.Struct("<I")


def framed(message: Numbered | Answer) -> bytes:
    data = encoder.encode(message)
    return LENGTH.pack(len(data)) + data


def frames(received: bytearray) -> Iterator[bytes]:
    """Take the whole messages from what was received."""
    while len(received) >= LENGTH.size:
        (length,) = LENGTH.unpack_from(received)
        end = LENGTH.size + length
        if len(received) < end:
            return
        frame = bytes(received[LENGTH.size : end])
        del received[:end]
        yield frame
