"""What lies in a file or folder, found out by looking: takeouts, archives, mbox files, Maildirs, .eml files. Blocking code."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import msgspec

from mailstack.message.flag import SYSTEM, Flags, keyword_numbers
from mailstack.message.mbox import Marks
from mailstack.store.importing.letters import DAMAGED, LINE, Known, Letter, Skipped, read_letter
from mailstack.store.importing.mbox import BEGIN, MboxFile
from mailstack.store.importing.takeout import letters_of_takeout, manifest_of
from mailstack.store.moving.survey import Survey, look
from mailstack.store.takeout.writing import MANIFEST

IMPORTED = "Imported"  # where mail goes that lies in no folder and has no name
ENDS = (".mbox", ".mbx", ".eml", ".sbd", ".gz")
Found = Letter | Skipped


class Source:
    """`letters()` once. `octets` grows as it is read, up to `total`."""

    def __init__(self, path: Path, spool: Path) -> None:
        self._path = path
        self._spool = spool
        self.octets = 0
        self.total = _size(path)
        self.own = IMPORTED if path.is_dir() else _plain(path.name)  # where its mail goes, for want of a better name

    def letters(self) -> Iterator[Found]:
        """Raises OSError."""
        if self._path.is_dir():
            yield from self._folder(self._path, "")
        else:
            yield from self._file(self._path, "")

    # Folders --------------------------------------------------------------------------------------------------------

    def _folder(self, folder: Path, above: str) -> Iterator[Found]:
        if any((place / "cur").is_dir() for place in (folder, *folder.glob(".*"))):
            yield from self._maildir(look(folder), above)
            return
        for child in _children(folder):
            if child.is_symlink() or child.name.startswith("."):
                continue
            if child.is_dir():
                yield from self._folder(child, _below(above, _plain(child.name)))
            elif child.is_file():
                yield from self._file(child, above)

    def _maildir(self, found: Survey, above: str) -> Iterator[Found]:
        for problem in found.problems:
            if "UID" not in problem and "dovecot-acl" not in problem:
                yield Skipped(str(found.root), problem)
        for folder in found.folders:
            mailbox = _below(above, folder.name) if above else folder.name
            for message in folder.messages:
                words = [folder.keywords[number] for number in keyword_numbers(message.flags)]
                marked = Marks(Flags(message.flags & SYSTEM), frozenset(word for word in words if word))
                path = found.root / os.fsdecode(message.path)
                try:
                    with open(path, "rb") as stream:
                        letter = read_letter(_lines(stream), mailbox, self._spool, Known(float(message.date), marked))
                except OSError as problem:
                    yield Skipped(str(path), problem.strerror or str(problem))
                    continue
                self.octets += message.size
                if letter is not None:
                    yield letter

    # Files ----------------------------------------------------------------------------------------------------------

    def _file(self, path: Path, above: str) -> Iterator[Found]:
        size = path.stat().st_size
        before = self.octets
        try:
            if zipfile.is_zipfile(path):
                yield from self._zip(path, above)
            elif size and tarfile.is_tarfile(path):
                yield from self._tar(path, above)
            elif path.suffix == ".gz":
                with gzip.open(path, "rb") as stream:
                    yield from self._stream(cast("IO[bytes]", stream), path.stem, above, str(path), seekable=False)
            else:
                with open(path, "rb") as plain:
                    yield from self._stream(plain, path.name, above, str(path), seekable=True)
        except DAMAGED as problem:
            yield Skipped(str(path), _damage(problem))
        finally:
            self.octets = before + size

    def _stream(self, stream: IO[bytes], name: str, above: str, where: str, *, seekable: bool) -> Iterator[Found]:
        """One file, whatever its name says: an mbox begins with `From `, a message with a header."""
        raw: Any = stream
        reader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
        start = reader.peek(64)[:64].lstrip(b"\r\n")
        before = self.octets
        if start.startswith(BEGIN):
            for letter in MboxFile(reader, seekable=seekable).letters(_below(above, _plain(name)), self._spool, where):
                if seekable:
                    self.octets = before + reader.tell()
                yield letter
        elif name.lower().endswith(".eml") or _is_header(start):
            one = read_letter(_lines(reader), above or IMPORTED, self._spool, Known())
            if one is not None:
                yield one
        elif not name.endswith((".msf", ".dat", ".html", ".json", ".lock")) and start:
            yield Skipped(where, "neither an mbox nor a message")

    def _zip(self, path: Path, above: str) -> Iterator[Found]:
        with zipfile.ZipFile(path) as archive:
            if MANIFEST in archive.namelist():
                try:
                    found = manifest_of(archive)
                except (ValueError, msgspec.MsgspecError, KeyError, zipfile.BadZipFile) as problem:
                    yield Skipped(f"{path}: {MANIFEST}", str(problem))
                else:
                    yield from letters_of_takeout(archive, found, self._spool)
                    return
            for info in archive.infolist():
                if not info.is_dir() and not info.filename.rpartition("/")[2].startswith("."):
                    where = f"{path}: {info.filename}"
                    try:
                        with archive.open(info) as stream:
                            yield from self._member(stream, info.filename, above, where)
                    except DAMAGED as problem:
                        yield Skipped(where, _damage(problem))  # the others may be whole
                    self.octets += info.compress_size

    def _tar(self, path: Path, above: str) -> Iterator[Found]:
        with tarfile.open(path) as archive:
            for info in archive:
                stream = archive.extractfile(info) if info.isfile() else None
                if stream is not None:
                    yield from self._member(stream, info.name, above, f"{path}: {info.name}")
                self.octets = min(self.octets + info.size, self.total)

    def _member(self, stream: IO[bytes], name: str, above: str, where: str) -> Iterator[Found]:
        """Folders of an archive are mailboxes; those that Google puts around (`Takeout/Mail`) are not."""
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
        while parts and parts[0] in ("Takeout", "Mail", "mail"):
            parts.pop(0)
        for part in parts[:-1]:
            above = _below(above, _plain(part))
        if parts:
            yield from self._stream(stream, parts[-1], above, where, seekable=False)


def _damage(problem: Exception) -> str:
    return f"damaged, or packed in a way that is not known here: {problem or type(problem).__name__}"


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(LINE):
        yield line


def _is_header(start: bytes) -> bool:
    name, colon, _ = start.partition(b":")
    return bool(colon) and name.isascii() and name.replace(b"-", b"").isalnum()


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _plain(name: str) -> str:
    """A file's name as a mailbox's."""
    for end in ENDS:
        if name.lower().endswith(end) and len(name) > len(end):
            name = name[: -len(end)]
    return name


def _below(above: str, name: str) -> str:
    name = name.replace("/", "_") if not above else name
    return f"{above}/{name}" if above else name


def _size(path: Path) -> int:
    """Octets of a file, or of all below a folder. Raises OSError."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
