"""What a backup says of itself: a line for each file, a file for each unit (account, queue, the rest), one over all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mailstack.store.backup import layout
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.freezing import Frozen

FORMAT = 1
SYSTEM = "system"
QUEUE = "queue"


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file below data/ or config/; a folder's path ends with a slash. `inode` and `mtime` are those of the live file."""

    path: str
    size: int = 0  # octets
    sha256: str = ""
    mtime: int = 0  # nanoseconds since the epoch
    inode: int = 0


class Unit(msgspec.Struct, frozen=True):
    """The first line of a unit's file."""

    name: str
    address: str = ""  # of an account
    mailboxes: list[Frozen] = []


class Summary(msgspec.Struct, frozen=True):
    """One unit in the manifest over all. `sha256` is that of the unit's own file."""

    name: str
    address: str
    files: int
    octets: int
    messages: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last file that a backup gets: with it, the backup is whole."""

    format: int
    name: str
    begun: float
    ended: float
    program: str
    hostname: str
    units: list[Summary]
    new_octets: int  # what was copied; the rest is shared with the backup before

    @property
    def messages(self) -> int:
        return sum(unit.messages for unit in self.units)

    @property
    def octets(self) -> int:
        return sum(unit.octets for unit in self.units)


_encoder = msgspec.json.Encoder()
_file = msgspec.json.Decoder(File)
_unit = msgspec.json.Decoder(Unit)
_manifest = msgspec.json.Decoder(Manifest)


def unit_path(backup: Path, name: str) -> Path:
    return backup / layout.UNITS / f"{name}.jsonl"


def _inside(path: str) -> str:
    """A path that leads nowhere else: a backup may come from a place where others write. Raises StoreFailed."""
    inner = path.removeprefix(f"../{layout.CONFIG}/")
    if "\0" in path or any(part in ("", ".", "..") for part in inner.removesuffix("/").split("/")):
        raise StoreFailed(f"{path[:200]!r} leads out of the backup")
    return path


def encode_line(value: File | Unit) -> bytes:
    return _encoder.encode(value) + b"\n"


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(_encoder.encode(manifest), indent=1) + b"\n"


def read(backup: Path) -> Manifest:
    """Raises StoreFailed, also for names that lead out of it."""
    path = backup / layout.MANIFEST
    try:
        found = _manifest.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as problem:
        raise StoreFailed(f"{path}: {problem}") from problem
    if found.format > FORMAT:
        raise StoreFailed(f"{path} was written by a newer version")
    for unit in found.units:
        _inside(unit.name)
    return found


def read_unit(backup: Path, name: str, sha256: str | None = None) -> tuple[Unit, list[File]]:
    """A unit and its files. With `sha256` its file must have that. Raises StoreFailed."""
    path = unit_path(backup, name)
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise StoreFailed(f"{path}: {problem.strerror}") from problem
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise StoreFailed(f"{path} is damaged")
    lines = data.splitlines()
    try:
        unit, files = _unit.decode(lines[0]), [_file.decode(line) for line in lines[1:]]
    except (IndexError, msgspec.DecodeError) as problem:
        raise StoreFailed(f"{path} is damaged: {problem}") from problem
    for file in files:
        _inside(file.path)
    return unit, files


def read_cut_short(backup: Path, name: str) -> Iterator[File]:
    """What a unit's file says as far as it was written."""
    try:
        lines = unit_path(backup, name).read_bytes().splitlines()
    except OSError:
        return
    for line in lines[1:]:
        try:
            file = _file.decode(line)
            _inside(file.path)
        except (msgspec.DecodeError, StoreFailed):
            return
        yield file
