"""Reading the files of a Maildir, whatever other programs do to them meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailstack.message.header import header_end
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.filename import split, stem
from mailstack.store.mailbox.octets import ConvertedOctets, FileOctets

NOT_OURS = frozenset((errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENOTDIR))  # a link, or may not be read
LARGE = 1 << 20  # octets of a message that is not read whole in one piece
HEADER_STEP = 8192  # octets of a message that hold most headers


class MailFiles:
    """One account's tree, to be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._bytes = os.fsencode(root)

    def path(self, relative: bytes) -> bytes:
        return self._bytes + b"/" + relative

    def skipped(self, path: bytes, problem: OSError) -> None:
        """What lies there is no mail of ours, or may not be read."""

    def look_up(self, relative: bytes) -> bytes | None:
        """Where a message is whose flags were changed by another program: by its base name in cur/ and new/."""
        parent, _, name = relative.rpartition(b"/")
        folder = parent.rpartition(b"/")[0]
        same = stem(split(name)[0])
        for part in (b"cur", b"new"):
            where = folder + b"/" + part if folder else part
            with contextlib.suppress(FileNotFoundError), os.scandir(self.path(where)) as entries:
                for entry in entries:
                    if entry.name.startswith(same) and stem(split(entry.name)[0]) == same:
                        return where + b"/" + entry.name
        return None

    def open(self, relative: bytes) -> int:
        """A descriptor for reading. Raises MessageGone if the file is nowhere, OSError if it can't be read."""
        return self._open(relative)[0]

    def _open(self, relative: bytes) -> tuple[int, int]:
        """A descriptor for reading, and the file's size."""
        path = relative
        for attempt in range(3):
            try:
                descriptor = os.open(self.path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                found = self.look_up(relative)
                if found is None:
                    if attempt == 2:
                        raise MessageGone(os.fsdecode(relative)) from None
                    continue
                path = found
                continue
            except OSError as problem:
                if problem.errno not in NOT_OURS:
                    raise
                self.skipped(self.path(path), problem)
                raise MessageGone(str(problem)) from problem
            found_status = os.fstat(descriptor)
            if not stat.S_ISREG(found_status.st_mode):
                os.close(descriptor)
                raise MessageGone("not a regular file")
            return descriptor, found_status.st_size
        raise MessageGone(os.fsdecode(relative))

    def read(self, relative: bytes, start: int = 0, length: int | None = None, *, convert: bool = False) -> bytes:
        """Octets of a message as they go on the wire. `convert`: the file has bare LF and is served with CRLF."""
        return self.stretches(relative, ((start, length),), convert=convert)[0]

    def stretches(self, relative: bytes, wanted: Sequence[tuple[int, int | None]], *, convert: bool = False) -> list[bytes]:
        """Several stretches of one message, given as start and length (None: up to its end)."""
        descriptor, size = self._open(relative)
        try:
            if convert:
                data = to_wire(_read_all(descriptor, 0, size)) if size <= LARGE else ConvertedOctets(descriptor)
                return [data[start : len(data) if length is None else start + length] for start, length in wanted]
            found = []
            for start, length in wanted:
                left = size - start if length is None else min(length, size - start)
                found.append(_read_all(descriptor, start, left) if left > 0 else b"")
            return found
        finally:
            os.close(descriptor)

    def octets(self, relative: bytes, *, convert: bool = False) -> FileOctets:
        """A message to be looked at block by block; the caller closes it."""
        descriptor = self.open(relative)
        return ConvertedOctets(descriptor) if convert else FileOctets(descriptor)

    @contextlib.contextmanager
    def looking_at(self, relative: bytes, *, convert: bool = False) -> Iterator[bytes | FileOctets]:
        """A whole message: a small one in memory, a large one block by block."""
        descriptor, size = self._open(relative)
        try:
            if size > LARGE:
                yield ConvertedOctets(descriptor) if convert else FileOctets(descriptor)
            else:
                data = _read_all(descriptor, 0, size)
                yield to_wire(data) if convert else data
        finally:
            os.close(descriptor)

    def header(self, relative: bytes, *, convert: bool, limit: int | None = None) -> bytes:
        """The header with its blank line, reading no more than needed, and not much more than `limit` octets of it."""
        descriptor, size = self._open(relative)
        try:
            step = HEADER_STEP
            while True:
                data = _read_all(descriptor, 0, min(step, size))
                end = header_end(data)
                if end < len(data) or len(data) >= size or len(data) < min(step, size) or (limit is not None and end >= limit):
                    return to_wire(data[:end]) if convert else data[:end]
                step *= 8
        finally:
            os.close(descriptor)


def _read_all(descriptor: int, start: int, length: int) -> bytes:
    data = os.pread(descriptor, length, start)
    if len(data) == length or not data:
        return data
    parts = [data]
    have = len(data)
    while have < length:
        data = os.pread(descriptor, length - have, start + have)
        if not data:
            break
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def to_wire(data: bytes) -> bytes:
    """Bare LF becomes CRLF; what has CRLF stays."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
