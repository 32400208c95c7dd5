"""A unit's file, written as its files are taken. Blocking code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from mailstack.store.backup import layout, listing, manifest
from mailstack.store.backup.copying import Copier
from mailstack.store.backup.manifest import File, Summary, Unit


class UnitWriter:
    """Used in a with block; `summary` is there behind it. `unit` may be changed until then: its line comes first."""

    def __init__(self, copier: Copier, backup: Path, unit: Unit) -> None:
        self.unit = unit
        self._copier = copier
        self._backup = backup
        self._path = manifest.unit_path(backup, unit.name)
        self._files = self._octets = self._messages = 0

    def __enter__(self) -> UnitWriter:
        self._copier.folder(str(self._path.parent))
        self._journal = open(self._path, "wb")
        self._journal.write(manifest.encode_line(self.unit))
        return self

    def add(self, file: File) -> None:
        """What a run that is cut short has of it, the next one takes over."""
        self._journal.write(manifest.encode_line(file))
        self._octets += file.size
        if file.sha256:
            self._files += 1
            self._messages += listing.is_message(file.path)

    def add_all(self, files: Iterable[File] | None) -> None:
        for file in files or ():
            self.add(file)

    def settings(self, data: bytes) -> None:
        self.add(File(f"../{layout.CONFIG}/mailstack.toml", len(data), hashlib.sha256(data).hexdigest()))

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._journal.close()
        if kind is not None:
            return
        lines = self._path.read_bytes().partition(b"\n")[2]
        data = manifest.encode_line(self.unit) + lines
        self._path.unlink()
        self._copier.write(data, str(self._path))
        self.summary = Summary(
            self.unit.name, self.unit.address, self._files, self._octets, self._messages, hashlib.sha256(data).hexdigest()
        )
