"""One message that comes in: its octets with CRLF, its digest, its marks. Blocking code; little is in memory."""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.flag import SYSTEM, Flags
from mailstack.message.mbox import Marks, cleaned, header_date, is_pseudo, marks
from mailstack.store.content import Content
from mailstack.store.mailbox.values import NewMessage

HEADER_LIMIT = 1 << 20  # octets; what is longer counts as text
LARGEST = 1 << 30  # octets of a message: a small file that is packed may unpack without end
LINE = 1 << 16
WRITE = 1 << 17
# What libraries raise for archives that are cut short, damaged, encrypted (RuntimeError), or packed otherwise than they know.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, gzip.BadGzipFile)


@dataclass(slots=True)
class Letter:
    """A message on its way into `mailbox`. Whoever has it closes its content."""

    mailbox: str
    content: Content
    digest: str
    flags: Flags
    keywords: frozenset[str]
    date: float | None

    def message(self, mailbox: str, *, words: bool = True) -> NewMessage:
        """As the store takes it. Its EMAILID says what it is and where it went first: by it a second run knows it."""
        keywords = self.keywords if words else frozenset()
        name = unique(mailbox, self.digest)
        return NewMessage(self.content, flags=self.flags & SYSTEM, keywords=keywords, internal_date=self.date, unique=name)


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is no message, or not to be read."""

    where: str
    reason: str


def unique(mailbox: str, digest: str) -> str:
    """The EMAILID of an imported message."""
    return "i" + hashlib.blake2b(f"{mailbox}\0{digest}".encode(), digest_size=20).hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a message from outside; its own header says the rest."""

    date: float | None = None
    marks: Marks | None = None


def read_letter(lines: Iterable[bytes], mailbox: str, spool: Path, known: Known) -> Letter | None:
    """A message of its lines, or of pieces of long ones. None where it is none: empty, a program's own, removed already.

    Raises OSError, also for what is too large.
    """
    content = Content(spool)
    try:
        letter = _read(iter(_wire(lines)), content, mailbox, known)
    except BaseException:
        content.close()
        raise
    if letter is None:
        content.close()
    return letter


def _read(lines: Iterator[bytes], content: Content, mailbox: str, known: Known) -> Letter | None:
    header = bytearray()
    for line in lines:
        header += line
        if line == b"\r\n" or len(header) > HEADER_LIMIT:
            break
    whole = bytes(header)
    if not whole.strip() or is_pseudo(whole):
        return None
    found = known.marks or marks(whole)
    if found.gone:
        return None
    digest = hashlib.blake2b(digest_size=20)
    waiting = bytearray(cleaned(whole) if known.marks is None else whole)
    for line in lines:
        waiting += line
        if len(waiting) >= WRITE:
            digest.update(waiting)
            content.write(bytes(waiting))
            waiting.clear()
            if content.size > LARGEST:
                raise OSError(errno.EFBIG, f"a message has more than {LARGEST} octets")
    digest.update(waiting)
    content.write(bytes(waiting))
    date = known.date if known.date is not None else header_date(whole)
    return Letter(found.mailbox or mailbox, content, digest.hexdigest(), found.flags, found.keywords, date)


def _wire(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Bare LF as CRLF; a CR at the end of a piece waits for what follows."""
    held = b""
    for line in lines:
        line = held + line
        held = b""
        if line.endswith(b"\r"):
            line, held = line[:-1], b"\r"
        elif line.endswith(b"\n") and not line.endswith(b"\r\n"):
            line = line[:-1] + b"\r\n"
        if line:
            yield line
    if held:
        yield held
