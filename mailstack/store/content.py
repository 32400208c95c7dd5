"""A message's bytes on their way: in memory while small, in a spool file when not."""

import asyncio
import builtins
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mailstack.message.header import header_end

BLOCK = 262144


class Content:
    """What SMTP and APPEND fill and the store takes over. Written once, then read any number of times.

    Past `memory_limit` octets the bytes go to a file in `spool`, which is unlinked at once: a crash leaves nothing behind.
    """

    __slots__ = ("_descriptor", "_header", "_limit", "_parts", "_spool", "size")

    def __init__(self, spool: Path, memory_limit: int = 512 * 1024) -> None:
        self._spool = spool
        self._limit = memory_limit
        self._parts: list[bytes] = []
        self._descriptor: int | None = None
        self._header: builtins.bytes | None = None
        self.size = 0

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """A content that is whole already and stays in memory."""
        content = cls(Path(), memory_limit=len(data))
        content.write(data)
        return content

    def write(self, data: bytes | memoryview) -> None:
        """Append; at most some 256 KiB a call when on the event loop. Raises OSError when the spool is full."""
        self._header = None
        if self._descriptor is None:
            if self.size + len(data) <= self._limit:
                self._parts.append(bytes(data))
                self.size += len(data)
                return
            self._spill()
        assert self._descriptor is not None
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(data)

    def _spill(self) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._spool, prefix="content-")
        os.unlink(name)
        try:
            for part in self._parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._parts = []

    @property
    def descriptor(self) -> int | None:
        """The spool file, None while in memory."""
        return self._descriptor

    def head(self, limit: int) -> bytes:
        """The first octets, at most `limit`."""
        if self._descriptor is not None:
            return os.pread(self._descriptor, min(limit, self.size), 0)
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0][:limit] if self._parts else b""

    def header(self, limit: int) -> builtins.bytes:
        """The header with its blank line, as far as it is in the first `limit` octets. Looked for once: many ask."""
        if self._header is None:
            head = self.head(limit)
            header = head[: header_end(head)]
            if len(header) == len(head) < self.size:
                return header  # more of it may follow
            self._header = header
        return self._header[:limit]

    def bytes(self) -> bytes:
        """All of it. Large ones from a thread only."""
        if self._descriptor is None:
            if len(self._parts) > 1:
                self._parts = [b"".join(self._parts)]
            return self._parts[0] if self._parts else b""
        return b"".join(self.chunks())

    def chunks(self, size: int = BLOCK, start: int = 0) -> "Iterator[builtins.bytes]":
        """Blocks from `start` on. From a thread when it is a file."""
        if self._descriptor is None:
            data = self.bytes()
            yield from (data[offset : offset + size] for offset in range(start, len(data), size))
            return
        offset = start
        while offset < self.size:
            block = os.pread(self._descriptor, min(size, self.size - offset), offset)
            if not block:
                raise OSError("spool file is shorter than what was written")
            offset += len(block)
            yield block

    def rest(self, start: int) -> "Content":
        """What stands behind `start`, as a content of its own. From a thread when it is a file. Raises OSError."""
        found = Content(self._spool, self._limit)
        try:
            for block in self.chunks(start=start):
                found.write(block)
        except OSError:
            found.close()
            raise
        return found

    def close(self) -> None:
        """Forget the bytes. May be called twice."""
        self._parts = []
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                _close(descriptor)
            else:
                # With the last descriptor the file goes: the system takes 100 ms to free a gigabyte.
                loop.run_in_executor(None, _close, descriptor)


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)
