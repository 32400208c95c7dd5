"""Messages of an account's takeout (store/takeout/), with the digests of its manifest compared."""

from __future__ import annotations

import calendar
import hashlib
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from mailstack.message.flag import NAMES, Flags
from mailstack.message.mbox import Marks
from mailstack.store.importing.letters import DAMAGED, LINE, Known, Letter, Skipped, read_letter
from mailstack.store.takeout.pieces import FORMAT
from mailstack.store.takeout.writing import MANIFEST

LARGEST = 1 << 30  # octets of a manifest: some millions of messages
_FLAGS = {name.lower(): flag for flag, name in NAMES.items()}


class Row(msgspec.Struct, frozen=True):
    """A message, as the manifest names it."""

    file: str
    mailbox: str
    date: str
    flags: list[str]
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Of a takeout, as far as it is read here."""

    format: str
    version: int
    messages: list[Row]


def manifest_of(archive: zipfile.ZipFile) -> Manifest:
    """Raises ValueError, msgspec.MsgspecError."""
    if archive.getinfo(MANIFEST).file_size > LARGEST:
        raise ValueError("it is too large")
    found = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    if (found.format, found.version) != (FORMAT, 1):
        raise ValueError(f"{found.format} {found.version} is not known here")
    return found


def letters_of_takeout(archive: zipfile.ZipFile, found: Manifest, spool: Path) -> Iterator[Letter | Skipped]:
    """Each message; one that is not what the manifest says is not taken. Raises OSError."""
    for row in found.messages:
        try:
            with archive.open(row.file) as stream:
                digest = hashlib.sha256()
                letter = read_letter(_lines(stream, digest), row.mailbox, spool, _known(row))
        except (KeyError, *DAMAGED) as problem:
            yield Skipped(row.file, f"it is not in the zip: {problem}")
            continue
        if digest.hexdigest() != row.sha256:
            if letter is not None:
                letter.content.close()
            yield Skipped(row.file, "its digest is not the manifest's")
        elif letter is not None:
            yield letter


def _lines(stream: IO[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    while line := stream.readline(LINE):
        digest.update(line)
        yield line


def _known(row: Row) -> Known:
    flags = Flags(0)
    for name in row.flags:
        flags |= _FLAGS.get(name.lower(), Flags(0))
    words = frozenset(name for name in row.flags if not name.startswith("\\"))
    try:
        date = float(calendar.timegm(time.strptime(row.date, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        date = None
    return Known(date, Marks(flags, words))
